"""Paths of densities from one with exact draws to the model, the arithmetic of their schedules, and replica swaps.

`path=NAME` chooses one, along which replica exchange (sampler=tempering) and the estimates of log Z move. Nothing in
this package moves states.
"""

from typing import ClassVar, Protocol, runtime_checkable

from torch import nn

from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._piecewise_path import PiecewisePath


@runtime_checkable
class Path(Protocol):
    """Densities exp(−U_β) from a far end, at the smallest β, to the model, β = 1.

    has_draws: True if the far end is β = 0 and has exact draws.
    schedule_key: name of the parameter that gives the replicas' places; its value is auto or a list.
    """

    has_draws: ClassVar[bool]
    schedule_key: ClassVar[str]

    def replica_betas(self) -> list[float]:
        """Return β of each replica, falling from 1."""
        ...

    def step_factors(self) -> list[float]:
        """Return the length of each replica's step as a multiple of the kernel's own, before burn-in tunes it.

        A replica that is drawn exactly makes no step and has no factor.
        """
        ...

    @property
    def is_automatic(self) -> bool:
        """Return True if the replicas' places are to be found."""
        ...

    def with_equal_swap_rates(self, swap_rates: list[float]) -> "Path":
        """Return the path with replicas at places that would swap equally often, given the present swap rates."""
        ...

    def annealing_path(self, energy: nn.Module, temperature: float) -> AnnealingPath | PiecewisePath:
        """Return the densities from the far end to this model.

        Samplers ask for them in every step. Therefore a path should keep those of the last energy and temperature.
        """
        ...
