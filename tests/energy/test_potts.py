"""Potts model: with two categories it is the Ising model; its critical temperature splits phases; what it refuses."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.ising import Ising
from ebm_cli.energy.potts import Potts

pytestmark = pytest.mark.usefixtures("float64")


def test_two_categories_are_spins_with_half_the_coupling(rng: torch.Generator) -> None:
    potts, ising = Potts(1.4, 0.0, "lattice", False, (3, 4, 2)), Ising(0.7, 0.0, "lattice", "spin", False, (3, 4))
    numbers = potts.sites.numbers(potts.sites.uniform(20, rng, torch.float64))
    difference = potts(potts.sites.states(numbers, torch.float64)) - ising(ising.sites.states(numbers, torch.float64))
    torch.testing.assert_close(difference, difference[:1].expand(20))


def test_energy_counts_equal_neighbors_and_fields() -> None:
    energy = Potts(2.0, [0.1, 0.2, 0.4], [[0, 1], [1, 2]], False, (3, 3))
    x = torch.eye(3)[torch.tensor([[0, 0, 2], [1, 2, 2]])].double()
    torch.testing.assert_close(energy(x), -torch.tensor([2 + 0.1 + 0.1 + 0.4, 2 + 0.2 + 0.4 + 0.4]))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(InputError, match=r"^field must have one number per category, 3, got 2"):
        Potts(1.0, [0.1, 0.2], "lattice", False, (4, 3))
    with pytest.raises(InputError, match=r"^event must end with the number of categories"):
        Potts(1.0, 0.0, "lattice", False, (4,))
