"""Wells: descent reaches the published minima, Laplace is exact for a quadratic, and basins on a grid are correct."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.wells.basins import find_basins
from ebm_cli.wells.descent import descend
from ebm_cli.wells.laplace import hessians, laplace_log_mass
from ebm_cli.wells.modes import barriers, find_modes
from tests.contract import build, log_integral


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_descent_ends_in_the_published_minima() -> None:
    energy = build("energy", "muller_brown", {"scale": 1.0})
    ends, e = descend(energy, normal(200, 2, scale=0.5) + torch.tensor([-0.2, 0.7]), temperature=0.1, reach=0.05)
    known = torch.tensor([[-0.558, 1.442], [0.623, 0.028], [-0.050, 0.467]])
    distance, which = torch.cdist(ends, known).min(1)
    assert distance.max() < 2e-3
    assert set(which.tolist()) == {0, 1, 2}
    assert (e - torch.tensor([-146.700, -108.167, -80.768])[which]).abs().max() < 2e-3


@pytest.mark.parametrize("event", [(2,), (16,), (1, 8, 8)])
def test_descent_finds_the_one_minimum_of_an_ill_conditioned_well(event: tuple[int, ...]) -> None:
    curvatures = np.geomspace(1, 300, math.prod(event)).tolist()
    energy = build("energy", "quadratic", {"a": curvatures}, event=event)
    modes, mode = find_modes(energy, normal(50, *event), temperature=1.0, barrier=1.0, reach=0.5)
    assert len(modes) == 1 and set(mode.tolist()) == {0}
    assert float(modes.energy.max()) < 1e-3


def test_descent_never_raises_the_energy_and_leaves_the_network_as_it_was() -> None:
    energy = build("energy", "mlp", event=(16,))
    x = normal(64, 16, scale=3.0)
    ends, e = descend(energy, x, 1.0, 0.5, steps=5)
    with torch.no_grad():
        assert (e <= energy(x)).all() and torch.allclose(energy(ends), e, atol=1e-4)
    assert all(p.requires_grad and p.grad is None for p in energy.parameters())


def test_the_barrier_of_a_double_well_is_its_barrier() -> None:
    energy = build("energy", "double_well", {"barrier": 3.0}, event=(16,))
    left, right = torch.zeros(1, 16), torch.zeros(1, 16)
    left[0, 0], right[0, 0] = -1, 1
    assert float(barriers(energy, left, right)) == pytest.approx(3.0)
    x = normal(100, 16)
    for temperature, count in ((1.0, 2), (4.0, 1)):
        assert len(find_modes(energy, x, temperature, barrier=1.0, reach=0.3)[0]) == count


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_laplace_is_exact_for_a_quadratic(temperature: float, float64: None) -> None:
    energy = build("energy", "quadratic", {"a": [1.0, 4.0, 0.5]}, event=None)
    x = torch.zeros(1, 3)
    hessian = hessians(energy, x)
    assert torch.allclose(hessian[0], torch.diag(torch.tensor([1.0, 4.0, 0.5])))
    assert float(laplace_log_mass(energy(x).detach(), hessian, temperature)) == pytest.approx(energy.log_z(temperature))


def test_a_hessian_off_the_diagonal_is_that_of_finite_differences(float64: None) -> None:
    energy = build("energy", "muller_brown", {"scale": 1.0})
    x, step = torch.tensor([[0.3, 0.4]]), 1e-4
    shifts = step * torch.eye(2)
    with torch.no_grad():
        expected = [
            [
                float(energy(x + a + b) - energy(x + a - b) - energy(x - a + b) + energy(x - a - b)) / (4 * step**2)
                for b in shifts
            ]
            for a in shifts
        ]
    assert hessians(energy, x)[0].numpy() == pytest.approx(np.array(expected), rel=1e-4)


@pytest.mark.parametrize("event", [(1,), (2,), (3,)])
def test_basins_on_a_grid_weigh_what_quadrature_of_one_dimension_says(event: tuple[int, ...]) -> None:
    energy = build("energy", "double_well", {"tilt": 0.3}, event=event)
    x = np.random.default_rng(0).standard_normal((200, *event))
    found = find_basins(energy, x, temperature=0.5, barrier=1.0, hottest=1.0)
    assert found is not None and len(found.modes) == 2
    ridge = 0.0125  # the middle root of 12x(x² − 1) + 0.3
    roots = np.roots([12, 0, -12, 0.3])
    assert roots[np.argmin(abs(roots))] == pytest.approx(0.025, abs=2e-3)
    for temperature in (0.5, 1.0):
        t = np.linspace(-3, 3, 60001)
        density = np.exp(-(3 * (t**2 - 1) ** 2 + 0.3 * t) / temperature)
        left = density[t < 2 * ridge].sum() / density.sum()
        # A basin's edge is off by up to a cell, where the density is low.
        assert found.weights(temperature)[0] == pytest.approx(left, abs=3e-3)
    assert (found.assign(x) == (x[:, 0] > 0.025)).mean() > 0.98


def test_a_grid_widens_until_it_holds_the_mass() -> None:
    energy = build("energy", "gaussian_mixture", {"means": [[-9.0, 0.0], [9.0, 0.0]], "weights": [0.25, 0.75]})
    found = find_basins(energy, np.random.default_rng(0).normal(9, 0.7, (50, 2)), 1.0, 1.0, 1.0)
    # Nothing leads from one mode to the other: what no state comes near stays unseen.
    assert found is not None and len(found.modes) == 1
    found = find_basins(energy, np.random.default_rng(0).normal(0, 9.0, (50, 2)), 1.0, 1.0, 1.0)
    assert found is not None and found.weights(1.0) == pytest.approx([0.75, 0.25], abs=1e-4)


def test_an_energy_that_does_not_confine_has_no_grid() -> None:
    class Slope(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.01 * x[:, 0].sin()

    assert find_basins(Slope(), np.random.default_rng(0).standard_normal((50, 2)), 1.0, 1.0, 1.0) is None


def test_the_grid_holds_all_of_the_mass(float64: None) -> None:
    energy = build("energy", "muller_brown", {"scale": 0.05})
    found = find_basins(energy, np.random.default_rng(0).uniform(-1, 1, (50, 2)), 1.0, 1.0, 1.0)
    assert found is not None
    cell = np.prod([axis[1] - axis[0] for axis in found.axes])
    log_z = float(np.log(np.exp(-found.energy).sum() * cell))
    assert log_z == pytest.approx(log_integral(lambda x: -energy(x), 2, 6.0, 1001), abs=1e-4)
