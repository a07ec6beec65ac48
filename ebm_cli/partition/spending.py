"""What may be spent on log Z, and what has been."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from ebm_cli import check
from ebm_cli.run.terminal import Stopped, never, silent


@dataclass
class Spending:
    """budget: evaluations of energy and gradient, one a state, that may be made ≥ 1; None for no bound. target: width
    of the bracket in nats > 0 at which to stop; None for a single round. progress: told of all that is spent. stop:
    asked now and then.
    """

    budget: int | None
    target: float | None
    progress: Callable[[int], None] = silent
    stop: Callable[[], bool] = never
    spent: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.budget is not None:
            check.count("budget", self.budget)
        if self.target is not None:
            check.positive("target", self.target)

    def spend(self, gradients: float) -> None:
        """Count so many evaluations; raises Stopped where a signal came."""
        self.spent += int(gradients)
        self.progress(self.spent)
        if self.stop():
            raise Stopped(f"stopped after {self.spent} gradients of log Z")

    @property
    def left(self) -> float:
        """What the budget still allows."""
        return math.inf if self.budget is None else max(self.budget - self.spent, 0)
