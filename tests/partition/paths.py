"""Paths to models for the tests: their rows are exact draws unless given."""

from typing import Any

from torch import Tensor, nn

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.pilot import Pilot, run_pilot
from ebm_cli.energy import energy_and_grad
from ebm_cli.partition.settings import LogZSettings
from ebm_cli.path._base_distribution import BaseDistribution, StandardNormal
from ebm_cli.path._coordinates import whiten
from ebm_cli.rng import generator
from tests.partition.integrand import integrand

SMALL = {
    "method": "bridge",
    "base": "auto",
    "box": None,
    "kernel": "hmc",
    "chains": 64,
    "temperatures": 20,
    "leapfrog_steps": 3,
    "steps": 100,
}


def settings(**changes: Any) -> LogZSettings:
    return LogZSettings(**SMALL | changes)


class Counted(nn.Module):
    """An energy that counts the states it is evaluated at."""

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy, self.event, self.states = energy, energy.event, 0

    def forward(self, x: Tensor) -> Tensor:
        self.states += len(x)
        return self.energy(x)

    def energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.states += len(x)
        return energy_and_grad(self.energy, x)


def path_to(
    energy: nn.Module, T: float = 1.0, rows: Tensor | None = None, base: BaseDistribution | None = None
) -> CountedPath:
    """Return a path from a Gaussian unless a base is given."""
    asked = integrand(energy, T, None if rows is None else rows.detach())
    assert asked.rows is not None
    space = whiten(asked, asked.rows.detach())
    return CountedPath(space, base or StandardNormal(space.center), Budget())


def pilot_of(path: CountedPath, chains: int = 64, **changes: Any) -> tuple[Pilot, Tensor]:
    """Return the pilot and its final states."""
    pilot, states = run_pilot(path, settings(**changes).path_kernel, chains, generator(3, "test", "cpu"))
    assert pilot is not None
    return pilot, states.z
