"""The number of gradient evaluations that an estimate of log Z may use, and the number that it has used."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from ebm_cli import check
from ebm_cli.run.terminal import Stopped, ignore_progress, never_stop


@dataclass
class Budget:
    """A count of evaluations of energy and gradient, one per state.

    max_gradients: maximum number of evaluations (≥ 1); None means unlimited.
    target_width: width of the bracket at which refinement stops (> 0, nats); None means a single round.
    progress: called with the total used so far.
    stop: polled after every charge.
    """

    max_gradients: int | None = None
    target_width: float | None = None
    progress: Callable[[int], None] = ignore_progress
    stop: Callable[[], bool] = never_stop
    used: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.max_gradients is not None:
            check.count("budget", self.max_gradients)
        if self.target_width is not None:
            check.positive("target", self.target_width)

    def charge(self, gradients: float) -> None:
        """Count this many evaluations; raise Stopped if a signal arrived."""
        self.used += int(gradients)
        self.progress(self.used)
        if self.stop():
            raise Stopped(f"stopped after {self.used} gradients of log Z")

    @property
    def remaining(self) -> float:
        """Return the number of evaluations that are left."""
        return math.inf if self.max_gradients is None else max(self.max_gradients - self.used, 0)
