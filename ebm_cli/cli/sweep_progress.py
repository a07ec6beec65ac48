"""One progress line for a whole sweep: what its job has done is a fraction of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ebm_cli.run.terminal import Ticker

if TYPE_CHECKING:
    from ebm_cli.cli.console import Live

# Of what is left of a job, the part that each of its tasks takes: the first one is nearly always the work.
PART = 0.9


class JobTerminal:
    """One job's terminal: it speaks through the sweep's, and moves the sweep's bar from `done` towards done + 1."""

    def __init__(self, live: "Live", tick: Ticker, done: int) -> None:
        self.live = live
        self.tick = tick
        self.done = done
        self.reached = 0.0

    @property
    def signal(self) -> int | None:
        return self.live.signal

    def say(self, message: str) -> None:
        self.live.say(message)

    def stopping(self) -> bool:
        return self.live.stopping()

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:  # noqa: ARG002
        """A task of the job: it takes PART of what the ones before it have left."""
        start = self.reached

        def tick(done: float, **figures: float) -> None:
            if total:
                self.reached = start + PART * (1 - start) * min(done / total, 1.0)
            self.tick(self.done + self.reached, **figures)

        yield tick
