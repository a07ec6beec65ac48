"""Ways to models for the tests of paths: rows are exact draws unless given."""

from typing import Any

from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.partition.base import Base, Normal
from ebm_cli.partition.path import Way
from ebm_cli.partition.pilot import Pilot, lead
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import whitened
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


def recipe(**changes: Any) -> Recipe:
    return Recipe(**SMALL | changes)


def unbounded() -> Spending:
    return Spending(None, None)


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


def way_to(energy: nn.Module, T: float = 1.0, rows: Tensor | None = None, base: Base | None = None) -> Way:
    """From a Gaussian unless a base is given."""
    asked = integrand(energy, T, None if rows is None else rows.detach())
    assert asked.rows is not None
    space = whitened(asked, asked.rows.detach())
    return Way(space, base or Normal(space.middle), unbounded())


def led(way: Way, chains: int = 64, **changes: Any) -> tuple[Pilot, Tensor]:
    """The pilot and where it ends."""
    pilot, seen = lead(way, recipe(chains=chains, **changes), generator(3, "test", "cpu"))
    assert pilot is not None
    return pilot, seen.z
