"""Checkpoints: a tree of tensors and plain values in a folder, written aside, read back and renamed."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run
from ebm_cli.run.old_formats import FORMAT
from ebm_cli.run.writing import replace_folder, sync_folder, write_text

# Next to step-N, chains-N: the chains that starts keep.
CHAINS = "chains-"


def write_step(run: Run, step: int, tree: dict[str, Any], chains: dict[str, Tensor]) -> Path:
    """Write checkpoints/step-N aside, its chains first, read each back, rename it, then let `last` name it."""
    final = run.checkpoints / f"step-{step}"
    if final.is_dir() and newest_name(run) == final.name:
        return final
    if chains:
        put_checkpoint(chains_folder(final), chains)
    put_checkpoint(final, tree)
    write_text(run.checkpoints / "last", final.name + "\n")
    return final


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
