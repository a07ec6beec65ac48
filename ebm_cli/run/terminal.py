"""The messages and progress that a verb may show. Nothing below the command line prints by itself."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Ticker(Protocol):
    """The progress bar of a running task. Call it with the number of finished steps, and numbers to show."""

    def __call__(self, done: float, **figures: float) -> None: ...


@runtime_checkable
class Terminal(Protocol):
    """A place for messages and progress, from which a user can ask a verb to stop."""

    def say(self, message: str) -> None:
        """Print a line."""
        ...

    def stopping(self) -> bool:
        """Return True after Ctrl-C or SIGTERM. The verb then finishes its step, saves, and returns."""
        ...

    def task(self, name: str, total: int | None, begin: int = 0) -> AbstractContextManager[Ticker]:
        """Show the progress of a task inside the block, from step `begin` to step `total` (None if unknown)."""
        ...


class Stopped(Exception):
    """A signal ended the verb early. Its results so far are saved."""


class WorkFailed(Exception):
    """The work failed: training diverged, or the disk is full. The message gives the reason and a remedy."""


class NullTerminal:
    """A terminal that shows nothing and never asks to stop, for tests and for use from Python."""

    def say(self, message: str) -> None:
        """Show nothing."""

    def stopping(self) -> bool:
        return False

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:  # noqa: ARG002
        def tick(done: float, **figures: float) -> None:
            """Show nothing."""

        yield tick


def printable(message: str) -> str:
    """Return the message with escapes for control characters and for replaced bytes."""

    def is_shown(c: str) -> bool:
        return c == "\n" or (c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")

    return "".join(c if is_shown(c) else ascii(c)[1:-1] for c in message)


def never_stop() -> bool:
    """Return False: a stop signal that never comes."""
    return False


def ignore_progress(step: int) -> None:
    """Ignore a progress report."""
