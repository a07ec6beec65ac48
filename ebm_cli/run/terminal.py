"""The messages and progress that a verb may show. Nothing below the command line prints by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, runtime_checkable


@runtime_checkable
class Ticker(Protocol):
    """A running task's bar."""

    def __call__(self, done: float, **figures: float) -> None: ...


@runtime_checkable
class Terminal(Protocol):
    """A place for messages and progress, and a request to stop."""

    def say(self, message: str) -> None:
        """Print a line."""
        ...

    def stopping(self) -> bool:
        """Return True after Ctrl-C or SIGTERM: finish the step, save, and return."""
        ...

    def task(self, name: str, total: int | None, begin: int = 0) -> "TaskContext":
        """Show a bar from `begin` to `total`; None if that is unknown."""
        ...


@runtime_checkable
class TaskContext(Protocol):
    def __enter__(self) -> Ticker: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Stopped(Exception):
    """A signal ended the verb early. Its results so far are saved."""


class WorkFailed(Exception):
    """The work itself failed: it diverged, or the disk is full. The message gives the reason and what usually helps."""


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
    """Return the message, with escapes for characters that steer a terminal or stand for bytes that are not text."""

    def is_shown(c: str) -> bool:
        return c == "\n" or (c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")

    return "".join(c if is_shown(c) else ascii(c)[1:-1] for c in message)


def never_stop() -> bool:
    """Return False: a stop signal that never comes."""
    return False


def ignore_progress(step: int) -> None:
    """Ignore a progress report."""
