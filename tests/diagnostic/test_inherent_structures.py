"""Inherent structures: energies of minima known in closed form, and fractions that are counted by hand."""

import numpy as np
import pytest

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.inherent_structures import levels
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def test_minima_of_a_tilted_double_well_have_their_energies_and_the_counted_fractions() -> None:
    energy = build("energy", "double_well", {"tilt": 0.5}, event=(2,)).requires_grad_(False)
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 10, 2))
    # One to four of the ten draws of each chain are in the upper well.
    side = np.where(np.arange(10) < np.arange(1, 5)[:, None], 1.0, -1.0)
    x = noise + np.stack([side, 0 * side], 2)
    rows = build("diagnostic", "inherent_structures")(ChainContext(Chains(x=x), energy, 1.0)).estimates
    # Minima are the real roots of 4·3·x(x² − 1) + 0.5 at which the curvature is positive.
    roots = np.sort(np.roots([12, 0, -12, 0.5]).real)[[0, 2]]
    exact = 3 * (roots**2 - 1) ** 2 + 0.5 * roots
    assert rows["minimum_energies"].value == pytest.approx(exact.tolist(), abs=1e-7)
    assert rows["lowest_energy"].value == pytest.approx(exact[0], abs=1e-7)
    assert rows["minimum_fractions"].value == pytest.approx([0.75, 0.25])
    error = np.std([0.1, 0.2, 0.3, 0.4], ddof=1) / 2
    assert rows["minimum_fractions"].se == pytest.approx([error, error])


def test_energies_without_a_gap_are_one_structure_and_numbers_rise_with_the_energy() -> None:
    energies, number = levels(np.array([2.0, 1.0005, 1.0, 2.5, 1.0]), 0.001)
    assert energies.tolist() == [1.0, 2.0, 2.5] and number.tolist() == [1, 0, 0, 2, 0]
