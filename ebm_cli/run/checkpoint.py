"""The checkpoints of a run: write, find and read them, with the chains that starts keep."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run
from ebm_cli.run.tree_file import read_checkpoint, write_checkpoint
from ebm_cli.run.writing import replace_folder, write_text

# The chains that starts keep are in chains-N, next to step-N.
CHAINS = "chains-"


def write_step(run: Run, step: int, tree: dict[str, Any], chains: dict[str, Tensor]) -> Path:
    """Write checkpoints/step-N (its chains first), let `last` name it, and return its folder."""
    final = run.checkpoints / f"step-{step}"
    pointer = run.checkpoints / "last"
    if final.is_dir() and pointer.exists() and pointer.read_text(errors="replace").strip() == final.name:
        return final
    if chains:
        put_checkpoint(chains_folder(final), chains)
    put_checkpoint(final, tree)
    write_text(pointer, final.name + "\n")
    return final


def put_checkpoint(final: Path, tree: dict[str, Any]) -> None:
    """Write a checkpoint to a temporary folder, verify that it can be read, and rename the folder."""
    final.parent.mkdir(exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=".aside-"))
    try:
        write_checkpoint(temporary, tree)
        read_checkpoint(temporary)
        temporary.chmod(0o755)
        replace_folder(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def chains_folder(folder: Path) -> Path:
    """Return the folder of a checkpoint's chains."""
    return folder.with_name(folder.name.replace("step-", CHAINS))


def chains_of(folder: Path, tree: dict[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the chains that were stored with a checkpoint, and the reason if they are missing or damaged."""
    if not tree.get("chains"):
        return {}, []
    place = chains_folder(folder)
    if not place.is_dir():
        return {}, [f"{folder} no longer has a replay buffer, and its chains start again"]
    try:
        return read_checkpoint(place), []
    except InputError as error:
        return {}, [f"{error}, and its chains start again"]


def drop_chains(run: Run, all_kept: bool) -> None:
    """Remove the stored chains of all but the last two checkpoints up to `last`.

    If the last checkpoint is damaged, training continues from the one before, with the same bits.

    all_kept: True to keep the chains of every existing checkpoint up to `last`.
    """
    newest = last_step(run)
    kept = sorted(step for step in run.steps() if step <= newest)
    kept = kept if all_kept else kept[-2:]
    for place in run.checkpoints.glob(f"{CHAINS}*"):
        if place.name.removeprefix(CHAINS) not in {str(step) for step in kept}:
            shutil.rmtree(place, ignore_errors=True)


def misfit(energy: nn.Module, tensors: dict[str, Tensor]) -> str:
    """Describe in one sentence how weights differ from an energy's parameters; empty if they fit."""
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


def has_checkpoint(run: Run) -> bool:
    """Return True if training has written a checkpoint from which it can continue."""
    return (run.checkpoints / "last").exists() or bool(run.steps())


def last_step(run: Run) -> int:
    """Return the step of a run's last checkpoint. Raises InputError if the checkpoint that `last` names is missing.

    A kill can leave a first checkpoint that `last` does not name yet. That checkpoint is complete.
    """
    if not (run.checkpoints / "last").exists() and run.steps():
        return run.steps()[-1]
    return int(run.checkpoint("last").name.removeprefix("step-"))


def newest_checkpoint(run: Run, limit: int | None = None) -> tuple[Path, list[str]]:
    """Return the newest readable checkpoint, and the errors of all newer checkpoints.

    limit: the last step to consider; None for the step that `last` names.
    """
    problems: list[str] = []
    limit = last_step(run) if limit is None else limit
    for step in reversed([s for s in run.steps() if s <= limit]):
        folder = run.checkpoints / f"step-{step}"
        try:
            read_checkpoint(folder)
            return folder, problems
        except InputError as error:
            problems.append(str(error))
    raise InputError(*problems, f"no checkpoint of run={run.folder} can be read: nothing to resume from")


def energy_weights(folder: Path, weights: str) -> dict[str, Tensor]:
    """Return the energy's weights in a checkpoint.

    weights: raw, or averaged (raw if no average was kept).
    """
    tree = read_checkpoint(folder)
    return tree["averaged"] if weights == "averaged" and tree["averaged"] else tree["energy"]
