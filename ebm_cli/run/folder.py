"""One run's folder: its configuration, checkpoints, metrics and figures, written so that a kill loses nothing."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate
from ebm_cli.run import signed_yaml as stored

if TYPE_CHECKING:
    import numpy as np

FORMAT = 7
FIGURES = ("png", "svg", "pdf")
UNFINISHED = "unfinished"
NAME = re.compile(r"[A-Za-z0-9._-]+")
# The mark, and files that `write_text` has not renamed yet.
BEFORE_CONFIG = re.compile(r"unfinished|\.(unfinished|config\.yaml|sweep\.yaml)\.\w+")

# Arguments that came with a format, with the values under which a class does what it did before them.
NETWORK = {"base": 0, "spectral_norm": None}
UNSCALED = {"scales": None}
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
    "ebm_cli.sampler.sgld.SGLD": UNSCALED,
    "ebm_cli.sampler.sghmc.SGHMC": UNSCALED,
    "ebm_cli.sampler.mala.MALA": UNSCALED,
    "ebm_cli.sampler.tempering.Tempering": {"short": 0.0},
    "ebm_cli.sampler.hmc.HMC": {"short": 0.0},
    "ebm_cli.data.table.Table": {"columns": None, "label": None, "header": "names", "missing": "refuse"},
    "ebm_cli.optimizer.adam.Adam": RATE,
    "ebm_cli.optimizer.adamw.AdamW": RATE,
    "ebm_cli.optimizer.sgd.SGD": RATE,
}
# Until format 5 each of our kernels had these keys, which are the verb's now.
UNTIL_5 = ("adapt", "target")
TUNING_SINCE = {"adapt": "none", "target_accept": None, "target_bias": 0.05}
TRAINER_SINCE = {"rollbacks": 0, "rollback_factor": 0.3, "nll_every": None}


# What config.yaml holds: the type of its keys, and those that a verb always leaves.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("energy", "data", "sampler", "start", "objective", "optimizer"), (dict, NoneType)),
    **dict.fromkeys(("regularizer", "metric", "diagnostic"), (dict, list, NoneType)),
    **dict.fromkeys(("run", "init"), (str, NoneType)),
    **dict.fromkeys(("device", "dtype", "engine", "weights"), (str,)),
    "figures": (str,),
    "trainer": (dict,),
    "seed": (int,),
    "threads": (int, str),
    "event": (list, int, NoneType),
    "checkpoint": (str, int),
}
OF_ALL = ("seed", "device", "dtype", "threads")
NEVER_NULL = ("energy", "sampler", "trainer")
LEFT = {
    "train": ("energy", "sampler", "trainer", "event", *OF_ALL),
    "sample": ("energy", "sampler", "event", "checkpoint", "weights", *OF_ALL),
    "evaluate": OF_ALL,
    "diagnose": OF_ALL,
}


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
        return upgraded(config)

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


def hold_types(config: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the keys of a stored configuration have their types and nothing in it is unresolved."""
    for key, kinds in KINDS.items():
        if key in config and (not isinstance(config[key], kinds) or isinstance(config[key], bool)):
            names = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
            raise InputError(f"{path} is damaged: {key} must be of type {names}, got {str(config[key])[:40]!r}")
    event = config.get("event")
    if isinstance(event, list) and not all(type(side) is int for side in event):
        raise InputError(f"{path} is damaged: event must hold whole numbers, got {str(event)[:40]!r}")
    for key in ("regularizer", "metric", "diagnostic"):
        members = config.get(key) or {}
        if isinstance(members, list) and members:
            raise InputError(f"{path} is damaged: {key} must be of type dict, got a list")
        for name, node in members.items() if isinstance(members, dict) else ():
            if not isinstance(node, dict):
                raise InputError(f"{path} is damaged: {key}.{name} must be of type dict, got {str(node)[:40]!r}")
    verb = config["made"].get("verb", "train")
    if not isinstance(verb, str) or verb not in LEFT:
        raise InputError(f"{path} is damaged: made.verb must be one of {', '.join(LEFT)}, got {str(verb)[:40]!r}")
    for key in ("command", "ebm", "torch", "created"):
        if not isinstance(config["made"].get(key, ""), str):
            raise InputError(f"{path} is damaged: made.{key} must be text")
    unresolved = stored.interpolations({key: value for key, value in config.items() if key != "made"})
    if unresolved:
        raise InputError(f"{path} is damaged: {unresolved[0]} holds an interpolation, which stored files must not")
    defaults = [key for key, value in config.items() if isinstance(value, dict) and "defaults" in value]
    if defaults:
        raise InputError(f"{path} is damaged: {defaults[0]}.defaults is no key of a run")
    odd = [key for key in config.get("trainer") or {} if not key.isidentifier()]
    if odd:
        raise InputError(f"{path} is damaged: trainer has no key {odd[0]!r}")


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
        full = {"engine": "eager"} | TUNING_SINCE | full
    sampler = full.get("sampler")
    if isinstance(sampler, dict) and str(sampler.get("_target_")).startswith("ebm_cli.sampler."):
        full["sampler"] = {key: value for key, value in sampler.items() if key not in UNTIL_5}
    return full


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


def write_text(path: Path, text: str) -> None:
    """Replace a text file at once; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Replace a file at once: written aside, synced, renamed."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_array(path: Path, values: "np.ndarray") -> None:
    """Write a .npy file at once; numpy's own writing does not say why a disk took only half of it."""
    import numpy as np

    content = BytesIO()
    np.save(content, values)
    write_bytes(path, content.getbuffer())


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
    """Make a run's folder exclusively: `out` itself, or outputs/VERB/DATE/TIME-NAME with a suffix if taken.

    An `out` that a kill left before its configuration was written is used again.
    """
    if NAME.fullmatch(name) is None:
        raise InputError(f"name must be of letters, digits, '.', '_' and '-' only, got {name!r}")
    if out == "":
        raise InputError("out must be a folder's name, got nothing")
    try:
        if out is not None:
            folder = Path(out)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not is_left_by_a_kill(folder):
                folder.mkdir()
            return folder.absolute()
        now = datetime.now()
        parent = (root or Path.cwd() / "outputs") / verb / now.strftime("%Y-%m-%d")
        parent.mkdir(parents=True, exist_ok=True)
        return _first_free(parent, f"{now:%H-%M-%S}-{name}")
    except FileExistsError as error:
        if out is not None and not os.path.lexists(out):
            raise InputError(f"out={out} cannot be made: {error.filename} is a file") from None
        raise InputError(f"out={out} exists already; choose another folder, or resume={out} to go on") from None
    except OSError as error:
        raise InputError(f"out={out or 'outputs'} cannot be made: {error.strerror} ({error.filename})") from None


def is_left_by_a_kill(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run or a sweep writes before its configuration."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return bool(names) and all(BEFORE_CONFIG.fullmatch(name) for name in names)


def _first_free(parent: Path, name: str) -> Path:
    for suffix in range(1, 10_000):
        folder = parent / (name if suffix == 1 else f"{name}-{suffix}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{parent / name} and 9,999 suffixes are all taken")


def size_of(path: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def megabytes(size: float) -> str:
    """Bytes in words: 0.4 MB, 57 MB."""
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"


def disk_use(run: Run) -> str:
    """What a run's folder takes on the disk, in one line."""
    folders = [run.checkpoints / f"step-{step}" for step in run.steps()]
    each, whole = [size_of(folder) for folder in folders], size_of(run.folder)
    chains = sum(size_of(folder) for folder in run.checkpoints.glob("chains-*"))
    buffers = f", replay buffers {megabytes(chains)}" if chains else ""
    count = f"{len(each)} checkpoint{'s' if len(each) != 1 else ''}"
    return f"disk: {megabytes(whole)}, of which {count} {megabytes(sum(each))}{buffers}"


def surplus(run: Run, keep: int | str) -> list[int]:
    """The steps of checkpoints beyond the newest `keep`, a number or the size that they may take together."""
    check.count_or_size("keep", keep)
    steps = run.steps()
    if isinstance(keep, int):
        return steps[:-keep]
    room = check.size(keep)
    for number, step in enumerate(reversed(steps)):
        room -= size_of(run.checkpoints / f"step-{step}")
        if room < 0:
            return steps[: len(steps) - number]
    return []


def prune(run: Run, keep: int | str, spare: Iterable[str] = ()) -> None:
    """Remove all but the newest checkpoints, as many or as large as `keep` says, and those that are named.

    They are named by `last`, `best` or `spare`.
    """
    named = set(spare)
    for pointer in ("last", "best"):
        path = run.checkpoints / pointer
        if path.exists():
            named.add(path.read_text(errors="replace").strip())
    for step in surplus(run, keep):
        if f"step-{step}" not in named:
            shutil.rmtree(run.checkpoints / f"step-{step}", ignore_errors=True)
