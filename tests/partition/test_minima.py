"""Minima: every narrow well that a slope, a row or a node leads to, with its width."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.partition.minima import HALF_WIDTHS, KNOWN_POINTS, UNKNOWN_POINTS, find_minima, widths
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def space(energy: nn.Module, d: int, T: float = 1.0) -> WhitenedEnergy:
    """In x's own coordinates."""
    return WhitenedEnergy(Integrand(energy, T, (d,), None, 0), torch.zeros(d), torch.eye(d))


def none(d: int) -> Tensor:
    return torch.zeros(0, d)


def nearest(z: Tensor, point: list[float]) -> float:
    return float((z - torch.tensor(point)).norm(dim=1).min())


class Spike(nn.Module):
    """A unit normal and a spike at 1.37 in every coordinate, nine times as heavy."""

    def __init__(self, d: int, s: float) -> None:
        super().__init__()
        self.d, self.s = d, s

    def forward(self, x: Tensor) -> Tensor:
        thin = math.log(9) - self.d * math.log(self.s) - 0.5 * ((x - 1.37) / self.s).square().sum(1)
        return -torch.logaddexp(-0.5 * x.square().sum(1), thin)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_modes_without_rows_are_found_by_slopes(d: int) -> None:
    means = [[2.1 - i, *[0.37 * i] * (d - 1)] for i in range(4)]
    energy = build("energy", "gaussian_mixture", {"means": means, "stds": [0.01] * 4, "weights": [1.0] * 4})
    found = find_minima(space(energy, d), True, none(d))
    for i, mean in enumerate(means):
        assert nearest(found.z, mean) < 0.005, i
        at = int((found.z - torch.tensor(mean)).norm(dim=1).argmin())
        assert (found.width[at] > 0.005).all() and (found.width[at] < 0.02).all()


def test_widths_are_standard_deviations_along_each_axis() -> None:
    energy = build("energy", "quadratic", {"a": [1e8, 4.0]}, event=(2,))
    found = widths(space(energy, 2), torch.zeros(1, 2), torch.zeros(1))
    # By bisection to a factor 1.2.
    assert 0.8 < float(found[0, 0]) / 1e-4 < 1.25 and 0.8 < float(found[0, 1]) / 0.5 < 1.25


@pytest.mark.parametrize(("d", "s", "known"), [(1, 1e-3, False), (1, 1e-4, False), (2, 1e-2, False), (1, 5e-3, True)])
def test_a_spike_of_more_than_a_spacing_is_found(d: int, s: float, known: bool) -> None:
    found = find_minima(space(Spike(d, s), d), known, none(d))
    # Slopes tell of it within five of its standard deviations.
    assert 5 * s > 0.5 * d**0.5 * found.spacing[0]
    assert nearest(found.z, [1.37] * d) < s


def test_a_spike_that_no_slope_leads_to_is_found_at_a_row() -> None:
    d, s = 2, 1e-5
    found = find_minima(space(Spike(d, s), d), True, torch.full((1, d), 1.37) + s)
    assert nearest(found.z, [1.37] * d) < s


@pytest.mark.parametrize("away", [80.0, 300.0, 2000.0])
def test_a_mode_far_beyond_the_grids_is_found(away: float) -> None:
    energy = build("energy", "gaussian_mixture", {"means": [[0.0], [away]], "stds": [1.0, 0.5], "weights": [1.0, 1.0]})
    assert nearest(find_minima(space(energy, 1), True, none(1)).z, [away]) < 0.5


def test_the_spacing_of_grids_is_told() -> None:
    for known, points in ((True, KNOWN_POINTS), (False, UNKNOWN_POINTS)):
        found = find_minima(space(build("energy", "quadratic", event=(2,)), 2), known, none(2))
        assert found.spacing[0] == pytest.approx(2 * HALF_WIDTHS[2][0] / points[2])


def test_an_energy_without_a_gradient_is_searched_by_its_values() -> None:
    class Stairs(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where((x[:, 0] - 2.5).abs() < 0.1, -5.0, 0.5 * x[:, 0].detach() ** 2)

    found = find_minima(space(Stairs(), 1), True, none(1))
    assert nearest(found.z, [2.5]) < 0.1
