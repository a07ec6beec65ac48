"""Report how much of the disk a run uses, and remove old checkpoints."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ebm_cli import check
from ebm_cli.run.folder import Run


def folder_bytes(path: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def size_text(size: float) -> str:
    """Return bytes as text: 0.4 MB, 57 MB."""
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"


def disk_use(run: Run) -> str:
    """Return in one line how much of the disk a run's folder uses."""
    folders = [run.checkpoints / f"step-{step}" for step in run.steps()]
    each, whole = [folder_bytes(folder) for folder in folders], folder_bytes(run.folder)
    chains = sum(folder_bytes(folder) for folder in run.checkpoints.glob("chains-*"))
    buffers = f", replay buffers {size_text(chains)}" if chains else ""
    count = f"{len(each)} checkpoint{'s' if len(each) != 1 else ''}"
    return f"disk: {size_text(whole)}, of which {count} {size_text(sum(each))}{buffers}"


def surplus_steps(run: Run, keep: int | str) -> list[int]:
    """Return the steps of the oldest checkpoints, beyond the number or the size that is kept.

    keep: the number of checkpoints to keep (≥ 1), or their total size, such as 200MB.
    """
    check.count_or_size("keep", keep)
    steps = run.steps()
    if isinstance(keep, int):
        return steps[:-keep]
    room = check.size_in_bytes(keep)
    for number, step in enumerate(reversed(steps)):
        room -= folder_bytes(run.checkpoints / f"step-{step}")
        if room < 0:
            return steps[: len(steps) - number]
    return []


def prune(run: Run, keep: int | str, spare: Iterable[str] = ()) -> None:
    """Remove old checkpoints, except the checkpoints that `last` and `best` name.

    keep: the number of checkpoints to keep (≥ 1), or their total size, such as 200MB.
    spare: names of further checkpoints that are never removed.
    """
    named = set(spare)
    for pointer in ("last", "best"):
        path = run.checkpoints / pointer
        if path.exists():
            named.add(path.read_text(errors="replace").strip())
    for step in surplus_steps(run, keep):
        if f"step-{step}" not in named:
            shutil.rmtree(run.checkpoints / f"step-{step}", ignore_errors=True)
