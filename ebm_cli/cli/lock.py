"""Allow one process per run, and mark a run that has not finished."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run
from ebm_cli.run.writing import write_text


class RunInUse(InputError):
    """Another ebm process works in the folder."""


@contextmanager
def run_lock(run: Run, name: str | None = None) -> Iterator[None]:
    """Hold the lock of a run inside the block. Raises RunInUse with the run's `name` if another process holds it."""
    import fcntl

    handle = os.open(run.folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunInUse(f"{name or f'run={run.folder}'} is in use by another ebm") from None
        yield
    finally:
        os.close(handle)


@contextmanager
def unfinished_mark(run: Run) -> Iterator[None]:
    """Mark the run as unfinished until the block succeeds. After an InputError, an earlier run is as it was before."""
    before = run.is_finished()
    path = run.folder / "config.yaml"
    config = path.read_text() if path.exists() else None
    run.begin()
    try:
        yield
    except InputError:
        if config is not None:
            write_text(path, config)
        if before:
            run.finish()
        raise
    run.finish()
