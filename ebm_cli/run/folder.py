"""The folder of a run: its configuration, checkpoints, metrics and figures. A kill never leaves half a file in it."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate
from ebm_cli.run import history, metrics_file
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.damage import damage_error
from ebm_cli.run.old_formats import FORMAT, migrate_config
from ebm_cli.run.stored_config import KEYS_BY_VERB, NEVER_NULL, require_types
from ebm_cli.run.writing import write_text

FIGURES = ("png", "svg", "pdf")
UNFINISHED = "unfinished"
NAME = re.compile(r"[A-Za-z0-9._-]+")


class Run:
    """The folder of a run. README lists its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    def config(self) -> dict[str, Any]:
        """Return config.yaml as plain values. Raises InputError if the folder is not a run, is damaged, or is newer."""
        path = self.folder / "config.yaml"
        config = stored.load(self._config_text(), path)
        if not isinstance(config.get("made"), dict):
            raise damage_error(path, "it does not describe a run")
        version = config["made"].get("format", 0)
        if not isinstance(version, int):
            raise damage_error(path, "its format is not a whole number")
        if version > FORMAT:
            raise InputError(f"{path} has format {version}, newer than this ebm reads ({FORMAT})")
        require_types(config, path)
        return migrate_config(config)

    def whole_config(self) -> dict[str, Any]:
        """Return config.yaml of a run that a verb can open. Raises InputError if a necessary key is missing."""
        config = self.config()
        keys = KEYS_BY_VERB.get(config["made"].get("verb", ""), ("made.verb",))
        lacks = [key for key in keys if key not in config or (config[key] is None and key in NEVER_NULL)]
        if lacks:
            raise damage_error(f"run={self.folder}", f"its config.yaml lacks {', '.join(lacks)}")
        return config

    def figure_format(self) -> str:
        """Return the format in which figures are written in addition to png; png if no other format was chosen."""
        try:
            return str(self.config().get("figures", "png"))
        except InputError:
            return "png"

    def is_signed(self) -> bool:
        """Return True if this user's ebm wrote config.yaml and nothing has changed it since."""
        return stored.is_signed(self._config_text())

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.yaml with this user's signature."""
        write_text(self.folder / "config.yaml", stored.dump(config))

    def _config_text(self) -> str:
        path = self.folder / "config.yaml"
        try:
            return stored.read_text(path)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"run={self.folder} is not a run: {self._missing_part()}") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None

    def _missing_part(self) -> str:
        """Return the reason why a folder without config.yaml is not a run."""
        if not self.folder.exists():
            return "there is no such folder"
        members = sorted(path.parent.name for path in self.folder.glob("*/config.yaml") if path.parent.name.isdigit())
        if (self.folder / "sweep.yaml").exists() and members:
            return f"it is a sweep's folder; name one of its runs, {self.folder / members[0]}"
        return "it has no config.yaml"

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return metrics.json, empty if it does not exist yet or cannot be read."""
        try:
            return self.whole_metrics()
        except InputError:
            return {}

    def whole_metrics(self) -> dict[str, dict[str, Any]]:
        """Return metrics.json, empty if it does not exist yet. Raises InputError if it is damaged."""
        return metrics_file.read_estimates(self.folder / "metrics.json")

    def write_metrics(self, estimates: dict[str, Estimate]) -> None:
        """Write metrics.json."""
        metrics_file.write_estimates(self.folder / "metrics.json", estimates)

    def log_metrics(self, row: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        history.append_row(self.folder / "metrics.jsonl", row)

    def history(self) -> list[dict[str, Any]]:
        """Return the complete lines of metrics.jsonl. Raises InputError that names a damaged line."""
        return history.read_rows(self.folder / "metrics.jsonl")

    def cut_history(self, step: int) -> None:
        """Drop the lines of metrics.jsonl beyond `step`. Training will write them again."""
        history.cut_rows(self.folder / "metrics.jsonl", step)

    def begin(self) -> None:
        """Mark the run as unfinished until `finish` is called. The mark survives a kill."""
        write_text(self.folder / UNFINISHED, "this run has not finished: it is running, was stopped, or failed\n")

    def finish(self) -> None:
        """Remove the mark, and the reason of an earlier failure."""
        for name in ("failure.txt", UNFINISHED):
            (self.folder / name).unlink(missing_ok=True)

    def is_finished(self) -> bool:
        """Return True if the verb has completed its work and metrics.json contains all of its numbers."""
        return (self.folder / "metrics.json").exists() and not (self.folder / UNFINISHED).exists()

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint folder, in order."""
        found = (re.fullmatch(r"step-(\d+)", p.name) for p in self.checkpoints.glob("step-*"))
        return sorted(int(m[1]) for m in found if m)

    def checkpoint(self, which: str | int) -> Path:
        """Return the folder of a checkpoint. Raises InputError if it does not exist.

        which: last, best or a step.
        """
        have = self.steps()
        if which in ("last", "best"):
            try:
                name = (self.checkpoints / which).read_text(errors="backslashreplace").strip()
            except OSError:
                other = f"; it has steps {have}" if have else ": train it first, or to its first checkpoint"
                raise InputError(f"run={self.folder} has no checkpoint named {which}{other}") from None
            if name in {f"step-{step}" for step in have}:
                return self.checkpoints / name
            shown = name[:40] or repr(name)
            raise InputError(f"checkpoint {shown} of run={self.folder} is missing; it has steps {have}")
        try:
            step = int(which)
        except (TypeError, ValueError):
            raise InputError(f"checkpoint must be last, best or a step, got {which!r}") from None
        if step not in have:
            raise InputError(f"checkpoint={step} is not in run={self.folder}; it has steps {have}")
        return self.checkpoints / f"step-{step}"

    def write_captions(self, captions: dict[str, str]) -> None:
        """Store the caption of each figure, in the order of the report."""
        write_text(self.figures / "captions.json", json.dumps(captions, indent=1, ensure_ascii=False))

    def captions(self) -> dict[str, str]:
        """Return the caption of each figure, without names and captions that are not text."""
        found = read_json(self.figures / "captions.json")
        pairs = found.items() if isinstance(found, dict) else ()
        return {name: text for name, text in pairs if NAME.fullmatch(name) and isinstance(text, str)}


def read_json(path: Path) -> Any:
    """Return a JSON file's content; {} if it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}


def is_of_ebm(folder: Path) -> bool:
    """Return True if a folder is an undamaged run or sweep."""
    for name, key in (("config.yaml", "made"), ("sweep.yaml", "jobs")):
        with suppress(OSError, InputError):
            if key in stored.load(stored.read_text(folder / name), folder / name):
                return True
    return False
