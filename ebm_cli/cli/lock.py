"""One process per run, and the mark of a run that has not finished."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run
from ebm_cli.run.writing import write_text


class InUse(InputError):
    """Another ebm works in the folder."""


class locked:
    """One process per run: `with locked(run)` refuses a folder that another ebm works in, by its `name`."""

    def __init__(self, run: Run, name: str | None = None) -> None:
        self.run = run
        self.name = name or f"run={run.folder}"

    def __enter__(self) -> None:
        import fcntl

        try:
            self.handle = os.open(self.run.folder, os.O_RDONLY)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.handle)
            raise InUse(f"{self.name} is in use by another ebm") from None

    def __exit__(self, *error: object) -> None:
        os.close(self.handle)


@contextmanager
def unfinished(run: Run) -> Iterator[None]:
    """Mark the run as not finished until the block ends well; wrong input leaves an earlier run as it was."""
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
