"""What a run takes on the disk, and which checkpoints make room for newer ones."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ebm_cli import check
from ebm_cli.run.folder import Run


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
