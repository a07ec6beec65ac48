"""The keys `adapt`, `target_accept` and `target_bias` of a verb. They define what burn-in tunes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.sampler import Adjusted, HasLocalKernel, Sampler, Unadjusted
from ebm_cli.sampler.tempering import Tempering, has_exact_draws

MIN_BURN_IN = 100
# Keys that set the step of a sampler or of its kernel. If one was typed, adapt=auto tunes nothing.
STEP_KEYS = {"sampler.step_size", "sampler.kernel.step_size", "sampler.step_factors"}


@dataclass(frozen=True)
class Tuning:
    """The part of a sampler that burn-in tunes, and its targets.

    adapt: none; step (the step size); all (also one scale per coordinate); or auto (`resolve`). step and all also space
        replicas whose places are automatic.
    target_accept: target of the mean acceptance of a Metropolis-adjusted kernel (in (0, 1)); None: the best acceptance
        of the kernel.
    target_bias: target of the relative bias of an unadjusted kernel (in (0, 1)).
    places: True to space replicas for equal swap rates also if their places are given.
    """

    adapt: str = "none"
    target_accept: float | None = None
    target_bias: float = 0.05
    places: bool = False

    def __post_init__(self) -> None:
        check.every(
            lambda: check.one_of("adapt", self.adapt, ["auto", "none", "step", "all"]),
            lambda: None if self.target_accept is None else check.open_interval("target_accept", self.target_accept),
            lambda: check.open_interval("target_bias", self.target_bias),
        )

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "Tuning":
        """Return the tuning from the keys of a verb."""
        return Tuning(config["adapt"], config["target_accept"], config["target_bias"])

    def resolve(self, sampler: Sampler, typed: bool, burn_in: int | str) -> "Tuning":
        """Return the tuning with adapt=auto replaced by its meaning for a sampler.

        auto tunes step size and scales of a Metropolis-adjusted kernel, and the step size of an unadjusted kernel. It
        tunes nothing if the user typed the step size or if `burn_in` is too short.
        """
        if self.adapt != "auto":
            return self
        short = isinstance(burn_in, int) and burn_in < MIN_BURN_IN
        if typed or short or not can_be_tuned(sampler):
            return dataclasses.replace(self, adapt="none")
        scaled = isinstance(tuned_kernel(sampler), Adjusted) and not has_exact_draws(sampler)
        return dataclasses.replace(self, adapt="all" if scaled else "step")

    def check_fits(self, sampler: Sampler, burn_in: int) -> None:
        """Raise InputError if the burn-in is too short for the tuning, or the sampler cannot be tuned."""
        if self.adapt == "none":
            return
        if burn_in < MIN_BURN_IN:
            raise InputError(
                f"burn_in must be >= {MIN_BURN_IN} for adapt={self.adapt}, got {burn_in}: a sampler is tuned only "
                "during its burn-in"
            )
        if not can_be_tuned(sampler):
            raise InputError(f"adapt={self.adapt} needs a sampler with a step size to tune; type adapt=none")
        if self.adapt == "all" and has_exact_draws(sampler):
            raise InputError("adapt=all sets one scale per coordinate, which path=base has already; type adapt=step")


def can_be_tuned(sampler: Sampler) -> bool:
    """Return True if burn-in can find the sampler's step size."""
    return isinstance(tuned_kernel(sampler), Adjusted | Unadjusted | HasLocalKernel)


def tuned_kernel(sampler: Sampler) -> Sampler:
    """Return the kernel whose step size burn-in finds: that of replica exchange, or the sampler itself.

    From Python 3.12 on, isinstance() with a Protocol does not evaluate properties, so that replica exchange passes for
    a kernel with a best acceptance whatever its kernel is.
    """
    return sampler.kernel if isinstance(sampler, Tempering) else sampler
