"""All that a training run is at one step, and its way to disk and back on the same bits."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from ebm_cli import rng
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord
from ebm_cli.objective import Objective
from ebm_cli.run.folder import FORMAT, Run, replace_folder, sync_folder, write_text
from ebm_cli.start import Buffered

GENERATORS = ("data", "chains")
# Beside the checkpoints, which share it: what training learned from its data.
DATA = "data"
# Next to step-N, chains-N: the chains that starts keep.
CHAINS = "chains-"
RECORDED = ("target", "path", "values", "fingerprint", "held_out")


class TrainState:
    """Energy, its average, objective (buffer, own networks), optimizer, schedule, generators and step.

    `save` and `load` are its whole persistence: a run resumed from a checkpoint goes on as if never stopped.
    """

    def __init__(
        self,
        energy: nn.Module,
        averaged: AveragedModel | None,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        schedule: LambdaLR,
        seed: int,
        device: str,
    ) -> None:
        self.energy = energy
        self.averaged = averaged
        self.objective = objective
        self.optimizer = optimizer
        self.schedule = schedule
        self.generators = {name: rng.generator(seed, name, device) for name in GENERATORS}
        self.seed = seed
        self.step = 0
        self.rollbacks = 0

    def tree(self) -> dict[str, Any]:
        """Everything, as nested dicts and lists of tensors and plain values."""
        return {
            "energy": dict(self.energy.state_dict()),
            "averaged": dict(self.averaged.module.state_dict()) if self.averaged else {},
            "averaged_count": self.averaged.n_averaged if self.averaged else None,
            "objective": dict(self.objective.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            "global_generators": rng.global_states(),
            "step": self.step,
            "rollbacks": self.rollbacks,
        }

    def buffered(self) -> dict[str, Buffered]:
        """The starts inside the objective that keep chains, by the prefix of their names in its state."""
        modules = self.objective.named_modules(remove_duplicate=False)
        return {f"{name}.": module for name, module in modules if isinstance(module, Buffered)}

    def split(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """`tree()` without the chains that starts keep, and these; `chains` of the tree tells whether there are any."""
        tree, prefixes = self.tree(), tuple(self.buffered())
        apart = {name: value for name, value in tree["objective"].items() if name.startswith(prefixes)}
        tree["objective"] = {name: value for name, value in tree["objective"].items() if name not in apart}
        has_chains = any(start.holds_chains() for start in self.buffered().values())
        return tree | {"chains": has_chains}, apart if has_chains else {}

    def reseed(self, purpose: str) -> None:
        """Start all generators anew, torch's global ones too, from the run's seed and `purpose`."""
        for name, generator in self.generators.items():
            generator.manual_seed(rng.derive(self.seed, f"{name}/{purpose}"))
        torch.manual_seed(rng.derive(self.seed, f"layers/{purpose}"))

    def cleared(self) -> dict[str, Tensor]:
        """The state of starts without any chain."""
        prefixes = tuple(self.buffered())
        for start in self.buffered().values():
            start.clear()
        return {name: value for name, value in self.objective.state_dict().items() if name.startswith(prefixes)}

    def save(self, run: Run) -> Path:
        """Write checkpoints/step-N aside, read it back, rename it, then let `last` name it."""
        final = run.checkpoints / f"step-{self.step}"
        if final.is_dir() and newest_name(run) == final.name:
            return final
        tree, chains = self.split()
        if chains:
            put_checkpoint(chains_folder(final), chains)
        put_checkpoint(final, tree)
        write_text(run.checkpoints / "last", final.name + "\n")
        return final

    def load(self, folder: Path) -> list[str]:
        """Take over what a checkpoint holds; generators come last, so that nothing here moves them.

        Returns what it lacks: chains that are not stored with it any more, or are damaged, start again.
        """
        tree = read_checkpoint(folder)
        chains, lacks = chains_of(folder, tree)
        problem = misfit(self.energy, tree["energy"]) if isinstance(tree.get("energy"), dict) else "it has no energy"
        if problem:
            raise InputError(f"checkpoint {folder} does not fit this run's energy: {problem}")
        try:
            self.energy.load_state_dict(tree["energy"])
            if self.averaged is not None:
                self.averaged.module.load_state_dict(tree["averaged"])
                self.averaged.n_averaged.copy_(tree["averaged_count"])
            if not chains and "chains" in tree:
                chains = self.cleared()
            self.objective.load_state_dict(tree["objective"] | chains)
            self.optimizer.load_state_dict(tree["optimizer"])
            self.schedule.load_state_dict(tree["schedule"])
            self.step = tree["step"]
            self.rollbacks = tree.get("rollbacks", 0)
            for name, generator in self.generators.items():
                generator.set_state(tree["generators"][name])
            rng.set_global_states(tree["global_generators"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"checkpoint {folder} does not fit this run: its objective, optimizer or generators are not those of "
                f"config.yaml ({type(error).__name__})"
            ) from error
        return lacks


def put_checkpoint(final: Path, tree: dict[str, Any]) -> None:
    """Write a checkpoint aside, read it back, and rename it to its place."""
    final.parent.mkdir(exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=final.parent, prefix=".aside-"))
    try:
        write_checkpoint(aside, tree)
        read_checkpoint(aside)
        aside.chmod(0o755)
        replace_folder(aside, final)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def chains_folder(folder: Path) -> Path:
    """Where the chains of a checkpoint's starts are stored."""
    return folder.with_name(folder.name.replace("step-", CHAINS))


def chains_of(folder: Path, tree: dict[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The chains that were stored with a checkpoint, and why there are none if it had some."""
    if not tree.get("chains"):
        return {}, []
    place = chains_folder(folder)
    if not place.is_dir():
        return {}, [f"{folder} has no replay buffer any more, and its chains start again"]
    try:
        return read_checkpoint(place), []
    except InputError as error:
        return {}, [f"{error}, and its chains start again"]


def drop_chains(run: Run, all_kept: bool) -> None:
    """Remove stored chains beyond `last` and, but for two checkpoints, those of all, or of those that are gone.

    The checkpoint before the newest keeps its chains, so that training goes on from it on the same bits if the newest
    one is damaged.
    """
    newest = reached(run)
    kept = sorted(step for step in run.steps() if step <= newest)
    kept = kept if all_kept else kept[-2:]
    for place in run.checkpoints.glob(f"{CHAINS}*"):
        if place.name.removeprefix(CHAINS) not in {str(step) for step in kept}:
            shutil.rmtree(place, ignore_errors=True)


def save_data_record(run: Run, record: DataRecord) -> None:
    """Write what training learned from its data, once for all checkpoints of a run."""
    put_checkpoint(run.checkpoints / DATA, {name: getattr(record, name) for name in RECORDED})


def read_data_record(run: Run) -> DataRecord | None:
    """What a run keeps of its data; None for data without a file, and for runs of before format 5."""
    folder = run.checkpoints / DATA
    if not folder.is_dir():
        return None
    tree = read_checkpoint(folder)
    try:
        return DataRecord(**{name: tree[name] for name in RECORDED})
    except KeyError as error:
        raise InputError(f"{folder} is damaged: it lacks {error}") from None


def misfit(energy: nn.Module, tensors: dict[str, Tensor]) -> str:
    """How weights and an energy's parameters differ, in one sentence; nothing where they fit."""
    own = energy.state_dict()
    for name, tensor in own.items():
        if name in tensors and tensors[name].shape != tensor.shape:
            stored, here = (list(t.shape) for t in (tensors[name], tensor))
            keys = "leave the energy's and the data's keys as the run has them"
            return f"{name} has shape {stored} in the run, {here} here; {keys}"
    lacks = [name for name in own if name not in tensors]
    extra = [name for name in tensors if name not in own]
    if lacks or extra:
        kind, name = ("no", lacks[0]) if lacks else ("also", extra[0])
        return f"the run has {kind} {name}; leave the energy's keys as the run has them"
    return ""


def write_checkpoint(folder: Path, tree: dict[str, Any]) -> None:
    """Write a tree as state.safetensors (tensors) and state.json (the rest, and the tensors' checksum)."""
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, "", tensors)
    content = save(tensors)
    _write(folder / "state.safetensors", content)
    head = {"format": FORMAT, "sha256": checksum(content, skeleton), "state": skeleton}
    _write(folder / "state.json", json.dumps(head, indent=1).encode())
    sync_folder(folder)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The tree that `write_checkpoint` wrote; InputError when a file is missing, cut short or altered."""
    try:
        head = json.loads((folder / "state.json").read_text())
        content = (folder / "state.safetensors").read_bytes()
        if head["format"] > FORMAT:
            raise InputError(f"checkpoint {folder} is of format {head['format']}, newer than this ebm reads ({FORMAT})")
        if checksum(content, head["state"]) != head["sha256"]:
            raise InputError(f"checkpoint {folder} is damaged: state.safetensors or state.json is cut short or altered")
        return _fill(head["state"], load(content))
    except FileNotFoundError as error:
        raise InputError(f"checkpoint {folder} is damaged: {Path(str(error.filename)).name} is missing") from None
    except (json.JSONDecodeError, KeyError, TypeError, SafetensorError, UnicodeDecodeError) as error:
        raise InputError(
            f"checkpoint {folder} is damaged: state.json cannot be read ({type(error).__name__})"
        ) from None


def checksum(content: bytes, skeleton: Any) -> str:
    """SHA-256 of the tensors' bytes and of the rest."""
    return hashlib.sha256(content + json.dumps(skeleton).encode()).hexdigest()


def has_checkpoint(run: Run) -> bool:
    """Whether training has written a checkpoint that it can go on from."""
    return (run.checkpoints / "last").exists() or bool(run.steps())


def reached(run: Run) -> int:
    """The step of a run's last checkpoint; InputError where the one that `last` names is not there.

    A kill between the first checkpoint and its name leaves one that `last` does not name yet; it is whole.
    """
    if not (run.checkpoints / "last").exists() and run.steps():
        return run.steps()[-1]
    return int(run.checkpoint("last").name.removeprefix("step-"))


def newest_whole(run: Run, limit: int | None = None) -> tuple[Path, list[str]]:
    """The newest checkpoint up to step `limit`, None for that of `last`, that reads back, and what newer ones lack."""
    problems: list[str] = []
    limit = reached(run) if limit is None else limit
    for step in reversed([s for s in run.steps() if s <= limit]):
        folder = run.checkpoints / f"step-{step}"
        try:
            read_checkpoint(folder)
        except InputError as error:
            problems.append(str(error))
            continue
        return folder, problems
    raise InputError(*problems, f"no checkpoint of run={run.folder} can be read: nothing to resume from")


def newest_name(run: Run) -> str | None:
    """What `last` names, None before the first checkpoint."""
    path = run.checkpoints / "last"
    return path.read_text(errors="backslashreplace").strip() if path.exists() else None


def energy_weights(folder: Path, weights: str) -> dict[str, Tensor]:
    """The energy's weights in a checkpoint: raw, or averaged (raw where no average was kept)."""
    tree = read_checkpoint(folder)
    return tree["averaged"] if weights == "averaged" and tree["averaged"] else tree["energy"]


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _strip(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`node` with every tensor moved to `tensors` and its key in its place."""
    if isinstance(node, Tensor):
        # A clone of its own: safetensors refuses storage that two names share.
        tensors[path] = node.detach().cpu().contiguous().clone()
        return {"tensor": path}
    if isinstance(node, dict):
        return {"dict": [[key, _strip(value, f"{path}/{key}", tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        items = [_strip(value, f"{path}/{i}", tensors) for i, value in enumerate(node)]
        return {"list": items} if isinstance(node, list) else {"tuple": items}
    return node


def _fill(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `_strip`."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: _fill(child, tensors) for key, child in value}
    items: Iterator[Any] = (_fill(child, tensors) for child in value)
    return list(items) if kind == "list" else tuple(items)
