"""What a verb may tell the person who waits: nothing below the command line prints by itself."""

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
    """A place for messages and progress, and the person's wish to stop."""

    def say(self, message: str) -> None:
        """One line that stays."""
        ...

    def stopping(self) -> bool:
        """Whether Ctrl-C or SIGTERM came: finish the step, save, and return."""
        ...

    def task(self, name: str, total: int | None, begin: int = 0) -> "TaskContext":
        """A bar from `begin` to `total`, None where that is not known."""
        ...


@runtime_checkable
class TaskContext(Protocol):
    def __enter__(self) -> Ticker: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Stopped(Exception):
    """A signal ended the verb early; what it had is saved."""


class WorkFailed(Exception):
    """The work itself failed (it diverged, the disk is full); the message says what and what usually helps."""


class Quiet:
    """A terminal that shows nothing and never asks to stop: for tests and for use from Python."""

    def say(self, message: str) -> None:
        """Nothing is shown."""

    def stopping(self) -> bool:
        return False

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:  # noqa: ARG002
        def tick(done: float, **figures: float) -> None:
            """Nothing is shown."""

        yield tick


def printable(message: str) -> str:
    """The message, with characters that steer a terminal or stand for bytes that are no text as escapes."""

    def is_shown(c: str) -> bool:
        return c == "\n" or (c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")

    return "".join(c if is_shown(c) else ascii(c)[1:-1] for c in message)


def never() -> bool:
    """A stop signal that never comes."""
    return False


def silent(step: int) -> None:
    """A progress report that goes nowhere."""
