"""Cells: rules exact to their degree, errors that bound those of jumps, splits that lose no space."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.partition.cells import GAUSS, KRONROD_WEIGHTS, LOBATTO_KRONROD, LOBATTO_WEIGHTS, Cells, Rules, split_around
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy

pytestmark = pytest.mark.usefixtures("float64")


class Formula(nn.Module):
    def __init__(self, f) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


def cells(f, center: list[list[float]], half: list[list[float]]) -> Cells:
    """Those of exp(−f) in boxes, in x's own coordinates."""
    d = len(center[0])
    integrand = Integrand(Formula(f), 1.0, (d,), None, 0)
    found = Cells.empty(WhitenedEnergy(integrand, torch.zeros(d), torch.eye(d)), d)
    found.add(torch.tensor(center), torch.tensor(half))
    return found


def step(at: float):
    """1 below, 0 above."""
    return lambda x: torch.where(x[:, 0] < at, 0.0, math.inf)


@pytest.mark.parametrize("power", range(0, 12, 2))
def test_rules_are_exact_up_to_their_degrees(power: int) -> None:
    """Even powers; Lobatto's up to 5, Kronrod's up to 9, Gauss's up to 11."""
    exact = 1 / (power + 1)
    nodes, rules = np.array(LOBATTO_KRONROD), Rules.in_dimensions(1)
    for degree, value in (
        (5, nodes**power @ np.array(LOBATTO_WEIGHTS)),
        (9, nodes**power @ np.array(KRONROD_WEIGHTS)),
        (11, GAUSS**power @ rules.gauss.numpy()),
    ):
        assert (abs(value - exact) < 1e-12) == (power <= degree)


def test_the_two_rules_share_no_node() -> None:
    assert np.abs(np.subtract.outer(np.array(LOBATTO_KRONROD), GAUSS)).min() > 0.02


def test_weights_in_three_dimensions_sum_to_one() -> None:
    rules = Rules.in_dimensions(3)
    for weights in (rules.kronrod, rules.gauss, *rules.coarse.T):
        assert float(weights.sum()) == pytest.approx(1.0)


def test_a_jump_anywhere_is_off_by_no_more_than_one_and_a_third_of_the_difference() -> None:
    for at in np.linspace(-0.999, 0.999, 400):
        found = cells(step(float(at)), [[0.0]], [[1.0]])
        off = abs(math.exp(found.log_total) - (at + 1))
        assert off <= 1.34 * math.exp(float(found.log_error[0])) + 1e-12


@pytest.mark.parametrize("at", [-0.6180, 0.0123, 0.5, 0.9871])
def test_splitting_finds_a_jump_to_the_tolerance(at: float) -> None:
    found = cells(step(at), [[0.0]], [[1.0]])
    found.refine(1e-9, 10**5)
    assert found.error <= 2e-9 and abs(math.exp(found.log_total) - (at + 1)) <= 1.34e-9 * (at + 1)
    assert len(found) < 100


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_gaussian_is_integrated_within_its_error(d: int) -> None:
    found = cells(lambda x: 0.5 * x.square().sum(1), [[0.3] * d], [[9.0] * d])
    found.refine(1e-6, 2_000_000)
    off = abs(found.log_total - d / 2 * math.log(2 * math.pi))
    assert off <= found.error and found.error <= 1.1e-6


def test_errors_along_two_axes_that_cancel_are_seen() -> None:
    """The difference of both rules alone was a thirteenth of the error of this cell."""
    c, h = (0.0618, 3.1236), (2.0, 1.0)
    found = cells(lambda x: 0.6 * x.square().sum(1), [list(c)], [list(h)])
    exact = 0.0
    for middle, half in zip(c, h, strict=True):
        ends = [math.sqrt(0.6) * (middle + side * half) for side in (-1, 1)]
        exact += math.log(0.5 * math.sqrt(math.pi / 0.6) * (math.erf(ends[1]) - math.erf(ends[0])))
    assert abs(math.exp(found.log_total) - math.exp(exact)) <= math.exp(float(found.log_error[0]))


def test_splits_and_carving_fill_the_same_space() -> None:
    found = cells(lambda x: 50 * (x - 0.37).square().sum(1), [[0.0, 0.0]], [[4.0, 4.0]])
    z, width = torch.tensor([[0.37, 0.37], [-3.1, 2.2]]), torch.tensor([[0.05, 0.4], [1e-3, 1e-2]])
    found.carve(z, width)
    found.refine(1e-4, 10**6)
    assert float((2 * found.half).prod(1).sum()) == pytest.approx(64.0)
    owner = found.containing(z)
    assert (found.half[owner] <= 2 * width).all()
    points = 8 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)) - 4
    inside = ((points[:, None] - found.center).abs() < found.half).all(2).sum(1)
    assert (inside == 1).all()


def test_a_box_without_states_stays_whole() -> None:
    none = np.zeros((0, 2))
    assert len(split_around(np.zeros(2), np.ones(2), none, none)) == 1


def test_nothing_anywhere_has_no_integral() -> None:
    found = cells(lambda x: torch.full((len(x),), math.inf), [[0.0]], [[1.0]])
    found.refine(1e-6, 10**4)
    assert found.log_total == -math.inf and len(found) == 1


def test_rounding_grows_as_cells_near_the_spacing_of_numbers() -> None:
    integrand = Integrand(Formula(lambda x: 0.5 * ((x[:, 0] - 1) / 1e-5).square()), 1.0, (1,), None, 0)
    noises = []
    for dtype in (torch.float32, torch.float64):
        space = WhitenedEnergy(integrand, torch.zeros(1, dtype=dtype), torch.eye(1, dtype=dtype))
        found = Cells.empty(space, 1)
        found.add(torch.tensor([[1.0]]), torch.tensor([[4e-5]]))
        noises.append(float(found.noise[0]))
    assert 1e-3 < noises[0] < 0.1 and noises[1] < 1e-8


def test_energies_that_are_large_are_resolved_to_their_spacing_only() -> None:
    for c in (1e5, 1e7):
        integrand = Integrand(Formula(lambda x, c=c: c + 0.5 * x[:, 0].square()), 1.0, (1,), None, 0)
        space = WhitenedEnergy(integrand, torch.zeros(1, dtype=torch.float32), torch.eye(1, dtype=torch.float32))
        found = Cells.empty(space, 1)
        found.add(torch.tensor([[0.0]]), torch.tensor([[1.0]]))
        assert float(found.noise[0]) == pytest.approx(c * 2.0**-24, rel=0.01)
