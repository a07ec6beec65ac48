"""Show one progress bar for a whole sweep, of which the progress of each job is a fraction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ebm_cli.run.terminal import Ticker

if TYPE_CHECKING:
    from ebm_cli.cli.console import ConsoleTerminal

# The fraction of the remaining job that is assumed for each task. The first task is nearly always the longest.
TASK_FRACTION = 0.9


class JobTerminal:
    """The terminal of one job. It prints on the sweep's terminal and moves the sweep's bar from `done` to done + 1."""

    def __init__(self, terminal: "ConsoleTerminal", tick: Ticker, done: int) -> None:
        self.terminal = terminal
        self.tick = tick
        self.done = done
        self.reached = 0.0

    @property
    def signal(self) -> int | None:
        return self.terminal.signal

    def say(self, message: str) -> None:
        self.terminal.say(message)

    def stopping(self) -> bool:
        return self.terminal.stopping()

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:  # noqa: ARG002
        """Show a task as a fraction of the part of the job that remains."""
        start = self.reached

        def tick(done: float, **figures: float) -> None:
            if total:
                self.reached = start + TASK_FRACTION * (1 - start) * min(done / total, 1.0)
            self.tick(self.done + self.reached, **figures)

        yield tick
