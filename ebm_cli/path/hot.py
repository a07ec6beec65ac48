"""A ladder of temperatures: the model at T, and at higher and higher temperatures up to the hottest."""

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from torch import nn

from ebm_cli import check
from ebm_cli.path._annealing_path import AnnealingPath, cached_path
from ebm_cli.path._base_distribution import NoBase
from ebm_cli.path._coordinates import UnchangedCoordinates
from ebm_cli.path._swap import equal_rejection_places


@dataclass(frozen=True)
class HotPath:
    """U_β = βE/T at β = 1/τ, for multiples τ of T from 1 to the hottest.

    Chains cross barriers at the hottest temperature, but its density has no exact draws. Therefore the path has no
    log Z, and chains that start in one mode at every temperature may all lack another.

    temperatures: τ of each replica, a rising list that starts with 1; auto: a geometric sequence that burn-in changes
        to give equal swap rates.
    replicas: number of temperatures for auto (≥ 2).
    hottest: largest τ for auto (> 1).
    cache: the densities of the last energy and temperature.
    """

    has_draws: ClassVar[bool] = False
    schedule_key: ClassVar[str] = "temperatures"

    temperatures: str | list[float]
    replicas: int
    hottest: float
    cache: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check.count("replicas", self.replicas, minimum=2)
        check.number("hottest", self.hottest)
        if self.hottest <= 1:
            raise check.InputError(f"hottest must be > 1, got {self.hottest}")
        if isinstance(self.temperatures, list):
            check_temperatures(self.temperatures)
        else:
            check.one_of("temperatures", self.temperatures, ["auto"])

    @property
    def ladder(self) -> list[float]:
        """Return τ of each replica."""
        if isinstance(self.temperatures, list):
            return self.temperatures
        return np.geomspace(1.0, self.hottest, self.replicas).tolist()

    def replica_betas(self) -> list[float]:
        return [1 / τ for τ in self.ladder]

    def step_factors(self) -> list[float]:
        # At temperature τ the model is about √τ times as wide.
        return [τ**0.5 for τ in self.ladder]

    @property
    def is_automatic(self) -> bool:
        return self.temperatures == "auto"

    def with_equal_swap_rates(self, swap_rates: list[float]) -> "HotPath":
        """See `Path`. The rejection rate of two neighbors is assumed to grow linearly with log τ between them."""
        places = np.exp(equal_rejection_places(np.log(self.ladder).tolist(), swap_rates)).tolist()
        return dataclasses.replace(self, temperatures=[1.0, *places[1:-1], self.ladder[-1]])

    def annealing_path(self, energy: nn.Module, temperature: float) -> AnnealingPath:
        def build() -> AnnealingPath:
            return AnnealingPath(UnchangedCoordinates(energy, temperature), NoBase())

        return cached_path(self.cache, energy, temperature, build)


def check_temperatures(temperatures: list[float]) -> None:
    """Raise InputError unless the temperatures are a rising list that starts with 1."""
    for temperature in temperatures:
        check.positive("temperatures", temperature)
    rising = all(a < b for a, b in pairwise(temperatures))
    if len(temperatures) < 2 or temperatures[0] != 1 or not rising:
        raise check.InputError(
            f"temperatures must be a rising list that starts with 1, such as [1,2,4], got {temperatures}"
        )
