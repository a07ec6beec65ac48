"""The number and the length of the chains of a run."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ebm_cli import check
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.superchains import MIN_CHAINS, MIN_SUPERCHAINS

# The keys of a verb that become a plan.
KEYS = ("chains", "steps", "burn_in", "thin", "budget", "superchains")
# steps=auto starts with this many steps, and keeps this many draws of each interval.
FIRST_STEPS, DRAWS = 1000, 100
BURN_IN = 500
THIN = 10
# First steps and burn-in of a kernel whose step is a trajectory of many gradients.
FIRST_TRAJECTORIES, TRAJECTORIES_OF_BURN_IN = 300, 200


@dataclass(frozen=True)
class SamplingPlan:
    """The number of chains and their length in kernel steps. steps/thin draws are kept.

    chains: number of chains (≥ 1).
    steps: steps after burn-in (≥ 1); auto: until mixing is decided.
    burn_in: steps before the recorded steps (≥ 0); auto: 500, or 200 trajectories.
    thin: steps per draw (in [1, steps]); auto: 10, or a hundredth of the steps if that is more.
    budget: gradients of all chains together for steps=auto (≥ 1).
    superchains: number of initial states, each shared by as many chains (≥ 4, ≤ chains/2), by 32 chains together or
        more; None: one per chain.
    trajectories: True if a step is a trajectory of many gradients; then fewer steps are needed.
    """

    chains: int
    steps: int | str
    burn_in: int | str
    thin: int | str
    budget: int = 1
    superchains: int | None = None
    trajectories: bool = False

    @staticmethod
    def from_config(config: Config) -> "SamplingPlan":
        """Return the plan of a verb's configuration."""
        return SamplingPlan(**{name: config[name] for name in KEYS})

    def __post_init__(self) -> None:
        check.every(
            lambda: check.count("chains", self.chains),
            lambda: check.count_or_auto("steps", self.steps),
            lambda: check.count_or_auto("burn_in", self.burn_in, minimum=0),
            lambda: check.count_or_auto("thin", self.thin),
            lambda: check.count("budget", self.budget),
        )
        if self.superchains is not None:
            check.count("superchains", self.superchains, minimum=MIN_SUPERCHAINS)
            self.check_superchains(self.superchains)
        if isinstance(self.thin, int) and isinstance(self.steps, int) and self.thin > self.steps:
            raise check.InputError(f"thin must be <= steps ({self.steps}), got {self.thin}")

    def check_superchains(self, count: int) -> None:
        """Raise InputError unless this many groups of equal size have enough chains for nested R̂."""
        needed = count * max(2, math.ceil(MIN_CHAINS / count))
        if self.chains < needed:
            raise check.InputError(f"chains must be >= {needed} for superchains={count}, got {self.chains}")

    def shared(self, x: Tensor) -> Tensor:
        """Return the initial states of chains, of which superchains share the first ones."""
        if self.superchains is None:
            return x
        return x[torch.arange(len(x), device=x.device) % self.superchains]

    @property
    def first_steps(self) -> int:
        """Return the steps of the first interval: `steps` if it is a number, otherwise enough for a draw."""
        if isinstance(self.steps, int):
            return self.steps
        first = FIRST_TRAJECTORIES if self.trajectories else FIRST_STEPS
        return max(first, self.thin if isinstance(self.thin, int) else 1)

    @property
    def burn_in_steps(self) -> int:
        """Return the steps before the first interval."""
        if isinstance(self.burn_in, int):
            return self.burn_in
        return TRAJECTORIES_OF_BURN_IN if self.trajectories else BURN_IN

    def thin_of(self, steps: int) -> int:
        """Return the steps between the draws of an interval."""
        if isinstance(self.thin, int):
            return self.thin
        return min(steps, max(1 if self.trajectories else THIN, steps // DRAWS))
