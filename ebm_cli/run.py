"""One run's folder: its configuration, checkpoints, metrics and figures, written so that a kill loses nothing."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from ebm_cli.check import InputError, count
from ebm_cli.estimate import Estimate

FORMAT = 5
NAME = re.compile(r"[A-Za-z0-9._-]+")

# Arguments that came with a format, with the values under which a class does what it did before them.
NETWORK = {"base": 0, "spectral_norm": None}
UNTUNED = {"scales": None, "adapt": "none"}
RATE = {"restart_at": None, "restart_factor": 0.1}
SINCE = {
    "ebm_cli.energy.mlp.MLP": {"frequencies": 0, "bandwidth": 1.0, "noise_level": None, **NETWORK},
    "ebm_cli.energy.conv.Conv": NETWORK,
    "ebm_cli.energy.autoencoder.Autoencoder": {
        "convolutions": 1,
        "channel_dropout": 0.0,
        "unet": False,
        "members": 1,
        **NETWORK,
    },
    "ebm_cli.start.replay.Replay": {"begin": "noise", "age_limit": None, "shift": 0, "flip": 0.0, "jitter": 0.0},
    "ebm_cli.objective.contrastive.Contrastive": {"chains": None, "wait": 0},
    "ebm_cli.sampler.sgld.SGLD": UNTUNED | {"target": 0.05},
    "ebm_cli.sampler.sghmc.SGHMC": UNTUNED | {"target": 0.05},
    "ebm_cli.sampler.mala.MALA": UNTUNED | {"target": 0.574},
    "ebm_cli.data.table.Table": {"columns": None, "label": None, "header": "names", "missing": "refuse"},
    "ebm_cli.optimizer.adam.Adam": RATE,
    "ebm_cli.optimizer.adamw.AdamW": RATE,
    "ebm_cli.optimizer.sgd.SGD": RATE,
}
TRAINER_SINCE = {"rollbacks": 0, "rollback_factor": 0.3, "nll_every": None}


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
        """config.yaml as plain values; InputError when the folder is no run or of a newer format."""
        path = self.folder / "config.yaml"
        try:
            config = yaml.safe_load(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            what = "there is no such folder" if not self.folder.exists() else "it has no config.yaml"
            raise InputError(f"run={self.folder} is not a run: {what}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is damaged: {' '.join(str(error).split())}") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        if not isinstance(config, dict) or not isinstance(config.get("made"), dict):
            raise InputError(f"{path} is damaged: it does not describe a run")
        if not isinstance(config["made"].get("format", 0), int):
            raise InputError(f"{path} is damaged: its format is no whole number")
        if config["made"].get("format", 0) > FORMAT:
            raise InputError(f"{path} is of format {config['made']['format']}, newer than this ebm reads ({FORMAT})")
        return upgraded(config)

    def write_config(self, config: dict[str, Any]) -> None:
        write_text(self.folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def metrics(self) -> dict[str, dict[str, Any]]:
        """metrics.json, empty where there is none yet or it cannot be read."""
        return read_json(self.folder / "metrics.json")

    def write_metrics(self, estimates: dict[str, Estimate]) -> None:
        """Write metrics.json: a row an estimate."""
        rows = {name: estimate.to_json() for name, estimate in estimates.items()}
        write_text(self.folder / "metrics.json", json.dumps(rows, indent=1, allow_nan=False) + "\n")

    def steps(self) -> list[int]:
        """Steps that have a checkpoint folder, in order."""
        found = (re.fullmatch(r"step-(\d+)", p.name) for p in self.checkpoints.glob("step-*"))
        return sorted(int(m[1]) for m in found if m)

    def checkpoint(self, which: str | int) -> Path:
        """The folder of checkpoint `which`: last, best or a step; InputError when it is not there."""
        have = self.steps()
        if which in ("last", "best"):
            try:
                name = (self.checkpoints / which).read_text().strip()
            except OSError:
                other = f"; it has steps {have}" if have else ": train it first, or to its first checkpoint"
                raise InputError(f"run={self.folder} has no checkpoint named {which}{other}") from None
            if name not in {f"step-{step}" for step in have}:
                raise InputError(f"checkpoint {name} of run={self.folder} is missing; it has steps {have}")
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
        """The lines of metrics.jsonl; a torn last line is left out."""
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
        return read_json(self.figures / "captions.json")


def upgraded(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of any format as today's: what it lacks is added with the meaning that it had."""
    if config["made"].get("format", 0) >= FORMAT:
        return config
    full = dict(config)
    for group, node in config.items():
        if isinstance(node, dict) and node.get("_target_") in SINCE:
            full[group] = SINCE[node["_target_"]] | node
    if isinstance(config.get("trainer"), dict):
        full["trainer"] = TRAINER_SINCE | config["trainer"]
    if "sampler" in config:
        full = {"engine": "eager"} | full
    return full


def _whole_lines(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    for line in path.read_text().splitlines(keepends=True):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            return
        if line.endswith("\n"):
            yield line, row


def read_json(path: Path) -> Any:
    """A JSON file's content, or {} when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write_text(path: Path, text: str) -> None:
    """Replace a file at once: written aside, synced, renamed."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(aside: Path, final: Path) -> None:
    """Rename a finished folder into place; one that is there already is removed."""
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    sync_folder(final.parent)


def new_folder(verb: str, name: str, out: str | None, root: Path | None = None) -> Path:
    """Make a run's folder exclusively: `out` itself, or outputs/VERB/DATE/TIME-NAME with a suffix if taken."""
    if NAME.fullmatch(name) is None:
        raise InputError(f"name must be of letters, digits, '.', '_' and '-' only, got {name!r}")
    try:
        if out is not None:
            folder = Path(out)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder.absolute()
        now = datetime.now()
        parent = (root or Path.cwd() / "outputs") / verb / now.strftime("%Y-%m-%d")
        parent.mkdir(parents=True, exist_ok=True)
        return _first_free(parent, f"{now:%H-%M-%S}-{name}")
    except FileExistsError:
        raise InputError(f"out={out} exists already; choose another folder, or resume={out} to go on") from None
    except OSError as error:
        raise InputError(f"out={out or 'outputs'} cannot be made: {error.strerror} ({error.filename})") from None


def _first_free(parent: Path, name: str) -> Path:
    for suffix in range(1, 10_000):
        folder = parent / (name if suffix == 1 else f"{name}-{suffix}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{parent / name} and 9,999 suffixes are all taken")


def prune(run: Run, keep: int, spare: Iterable[str] = ()) -> None:
    """Remove all but the newest `keep` checkpoints and those that `last`, `best` or `spare` name."""
    count("keep", keep)
    named = set(spare)
    for pointer in ("last", "best"):
        path = run.checkpoints / pointer
        if path.exists():
            named.add(path.read_text().strip())
    for step in run.steps()[:-keep]:
        if f"step-{step}" not in named:
            shutil.rmtree(run.checkpoints / f"step-{step}", ignore_errors=True)
