"""One run's folder: its configuration, checkpoints, metrics and figures, written so that a kill loses nothing."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.old_formats import FORMAT, migrate_config
from ebm_cli.run.stored_config import LEFT, NEVER_NULL, hold_types
from ebm_cli.run.writing import write_text

if TYPE_CHECKING:
    pass

FIGURES = ("png", "svg", "pdf")
UNFINISHED = "unfinished"
NAME = re.compile(r"[A-Za-z0-9._-]+")


class Run:
    """A run's folder and the files in it; see README for their list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    def config(self) -> dict[str, Any]:
        """config.yaml as plain values; InputError when the folder is no run, damaged or of a newer format."""
        path = self.folder / "config.yaml"
        config = stored.load(self._config_text(), path)
        if not isinstance(config.get("made"), dict):
            raise InputError(f"{path} is damaged: it does not describe a run")
        made = config["made"]
        if not isinstance(made.get("format", 0), int):
            raise InputError(f"{path} is damaged: its format is no whole number")
        if made.get("format", 0) > FORMAT:
            raise InputError(f"{path} is of format {made['format']}, newer than this ebm reads ({FORMAT})")
        hold_types(config, path)
        return migrate_config(config)

    def whole_config(self) -> dict[str, Any]:
        """config.yaml of a run that a verb can open: `config()` with all keys that its verb leaves."""
        config = self.config()
        kept = LEFT.get(config["made"].get("verb", ""), ("made.verb",))
        lacks = [key for key in kept if key not in config or (config[key] is None and key in NEVER_NULL)]
        if lacks:
            raise InputError(f"run={self.folder} is damaged: its config.yaml lacks {', '.join(lacks)}")
        return config

    def figure_format(self) -> str:
        """In which format figures are written in addition to png; png for none, as in runs of before."""
        try:
            return str(self.config().get("figures", "png"))
        except InputError:
            return "png"

    def is_signed(self) -> bool:
        """Whether config.yaml is as this user's ebm wrote it."""
        return stored.is_signed(self._config_text())

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.yaml with this user's signature."""
        write_text(self.folder / "config.yaml", stored.dump(config))

    def _config_text(self) -> str:
        path = self.folder / "config.yaml"
        try:
            return stored.read_text(path)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"run={self.folder} is not a run: {self._lack()}") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None

    def _lack(self) -> str:
        """Why a folder without config.yaml is no run."""
        if not self.folder.exists():
            return "there is no such folder"
        members = sorted(path.parent.name for path in self.folder.glob("*/config.yaml") if path.parent.name.isdigit())
        if (self.folder / "sweep.yaml").exists() and members:
            return f"it is a sweep's folder; name one of its runs, {self.folder / members[0]}"
        return "it has no config.yaml"

    def metrics(self) -> dict[str, dict[str, Any]]:
        """metrics.json, empty where there is none yet or it cannot be read."""
        try:
            return self.whole_metrics()
        except InputError:
            return {}

    def whole_metrics(self) -> dict[str, dict[str, Any]]:
        """metrics.json, empty where there is none yet; InputError where it is damaged."""
        path = self.folder / "metrics.json"
        try:
            rows = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path} is damaged: {' '.join(str(error).split())[:100]}") from None
        if not isinstance(rows, dict) or not all(_is_estimate(row) for row in rows.values()):
            raise InputError(f"{path} is damaged: it does not hold a number with its verdict under each name")
        return rows

    def write_metrics(self, estimates: dict[str, Estimate]) -> None:
        """Write metrics.json: a row an estimate."""
        rows = {name: estimate.to_json() for name, estimate in estimates.items()}
        write_text(self.folder / "metrics.json", json.dumps(rows, indent=1, allow_nan=False) + "\n")

    def begin(self) -> None:
        """Mark the run as one that has not finished, until `finish`; a kill leaves the mark."""
        write_text(self.folder / UNFINISHED, "this run has not finished: it is running, was stopped, or failed\n")

    def finish(self) -> None:
        """Remove the mark, and the reason why an earlier try failed."""
        for name in ("failure.txt", UNFINISHED):
            (self.folder / name).unlink(missing_ok=True)

    def is_finished(self) -> bool:
        """Whether the verb came to its end, so that metrics.json holds all of its numbers."""
        return (self.folder / "metrics.json").exists() and not (self.folder / UNFINISHED).exists()

    def steps(self) -> list[int]:
        """Steps that have a checkpoint folder, in order."""
        found = (re.fullmatch(r"step-(\d+)", p.name) for p in self.checkpoints.glob("step-*"))
        return sorted(int(m[1]) for m in found if m)

    def checkpoint(self, which: str | int) -> Path:
        """The folder of checkpoint `which`: last, best or a step; InputError when it is not there."""
        have = self.steps()
        if which in ("last", "best"):
            try:
                name = (self.checkpoints / which).read_text(errors="backslashreplace").strip()
            except OSError:
                other = f"; it has steps {have}" if have else ": train it first, or to its first checkpoint"
                raise InputError(f"run={self.folder} has no checkpoint named {which}{other}") from None
            if name not in {f"step-{step}" for step in have}:
                raise InputError(
                    f"checkpoint {name[:40] or repr(name)} of run={self.folder} is missing; it has steps {have}"
                )
            return self.checkpoints / name
        try:
            step = int(which)
        except (TypeError, ValueError):
            raise InputError(f"checkpoint must be last, best or a step, got {which!r}") from None
        if step not in have:
            raise InputError(f"checkpoint={step} is not in run={self.folder}; it has steps {have}")
        return self.checkpoints / f"step-{step}"

    def log_metrics(self, row: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a torn last line is left out. InputError names another that is damaged."""
        path = self.folder / "metrics.jsonl"
        return [row for _, row in _whole_lines(path)] if path.exists() else []

    def cut_history(self, step: int) -> None:
        """Drop lines of metrics.jsonl beyond `step`, as training will write them again."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            write_text(path, "".join(line for line, row in _whole_lines(path) if row["step"] <= step))

    def write_captions(self, captions: dict[str, str]) -> None:
        """Remember the sentence that belongs under each figure, in the order of the report."""
        write_text(self.figures / "captions.json", json.dumps(captions, indent=1, ensure_ascii=False))

    def captions(self) -> dict[str, str]:
        """The sentence under each figure; names and sentences that are no text are left out."""
        found = read_json(self.figures / "captions.json")
        pairs = found.items() if isinstance(found, dict) else ()
        return {name: text for name, text in pairs if NAME.fullmatch(name) and isinstance(text, str)}


def _whole_lines(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    *lines, _ = path.read_bytes().split(b"\n")
    for number, content in enumerate(lines, 1):
        try:
            row = json.loads(content)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not _is_step(row):
            raise InputError(f"{path} is damaged: line {number} is no logged step; remove it to go on")
        yield f"{content.decode()}\n", row


def _is_step(row: dict[str, Any]) -> bool:
    """Whether a line of metrics.jsonl names a step and holds numbers."""
    if not isinstance(row.get("step"), int):
        return False
    return all(isinstance(value, int | float | list) or value is None for value in row.values())


def _is_estimate(row: Any) -> bool:
    """Whether a row of metrics.json is an estimate."""
    if not isinstance(row, dict) or row.get("verdict") not in ("ok", "caution", "refused"):
        return False
    if (row["verdict"] == "refused") != (row.get("value") is None):
        return False
    if not isinstance(row.get("reason", ""), str) or not isinstance(row.get("unit", ""), str | NoneType):
        return False
    return "value" in row and all(_is_number(row.get(key)) for key in ("value", "se", "lower", "upper"))


def _is_number(value: Any) -> bool:
    """Whether a value is a number, a list of numbers or names, or nothing."""
    if isinstance(value, list):
        return all(_is_number(item) or isinstance(item, str) for item in value)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def read_json(path: Path) -> Any:
    """A JSON file's content, or {} when it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}


def is_of_ebm(folder: Path) -> bool:
    """Whether a folder is a run's or a sweep's, damaged ones aside."""
    for name, key in (("config.yaml", "made"), ("sweep.yaml", "jobs")):
        with suppress(OSError, InputError):
            if key in stored.load(stored.read_text(folder / name), folder / name):
                return True
    return False
