"""Quadrature: scipy's integral, closed forms, modes that the rows lack, and refusal where no grid can do it."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn

from ebm_cli import partition
from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.estimate import refused
from ebm_cli.partition.quadrature import FinalRefusal, quadrature
from ebm_cli.partition.reference_states import reference_states
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy, whiten
from tests.contract import build
from tests.partition.integrand import integrand, normal_rows
from tests.partition.paths import settings

pytestmark = pytest.mark.usefixtures("float64")

RECIPE = settings(method="auto", chains=16, temperatures=4)


def coordinates(asked: Integrand) -> WhitenedEnergy:
    """Those of the rows that are known, or found."""
    return whiten(asked, reference_states(asked))


class Kinked(nn.Module):
    """E = |x₁| + |x₂|, Z = (2T)²."""

    event = (2,)

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().sum(1)


class Flat(nn.Module):
    """No energy, no Z."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.event = (d,)

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x[:, 0]


class Disc(nn.Module):
    """0 within a circle, +∞ outside: Z = πr²."""

    event = (2,)

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.norm(dim=1) <= self.radius, 0.0, math.inf) + 0 * x.sum(1)


class Peculiar(nn.Module):
    """A space that is not continuous."""

    event = (2,)
    space = "binary"

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1)


@pytest.mark.parametrize("T", [0.5, 2.0])
def test_the_double_well_integrates_to_what_scipy_says(T: float) -> None:
    energy = build("energy", "double_well", event=(2,))
    barrier, tilt = energy.barrier.item(), energy.tilt.item()
    along, _ = quad(lambda x: math.exp(-(barrier * (x * x - 1) ** 2 + tilt * x) / T), -5, 5, epsabs=1e-12)
    found = quadrature(coordinates(integrand(energy, T, normal_rows(100, 2))))
    assert found.verdict == "ok"
    assert found.value == pytest.approx(math.log(along) + 0.5 * math.log(2 * math.pi * T), abs=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_correlated_or_far_off_rows_do_not_move_it(dim: int) -> None:
    energy = build("energy", "quadratic", {"a": 4.0}, event=(dim,))
    for rows in (normal_rows(50, dim, center=3.0), normal_rows(50, 1).expand(50, dim), normal_rows(50, dim, scale=8.0)):
        found = quadrature(coordinates(integrand(energy, 1.5, rows)))
        assert found.value == pytest.approx(energy.log_z(1.5), abs=1e-6)
        assert found.lower <= found.value <= found.upper


def test_a_mode_without_a_row_is_counted() -> None:
    energy = build("energy", "gaussian_mixture", {"means": [[-6.0, 0.0], [6.0, 0.0]], "weights": [0.2, 0.8]})
    rows = normal_rows(200, 2, scale=0.7) - torch.tensor([6.0, 0.0])
    assert quadrature(coordinates(integrand(energy, 1.0, rows))).value == pytest.approx(0.0, abs=1e-6)


def test_kinks_along_coordinates_cost_no_precision() -> None:
    found = quadrature(coordinates(integrand(Kinked(), 1.0, normal_rows(100, 2))))
    assert found.verdict == "ok" and found.lower <= 2 * math.log(2) <= found.upper
    assert found.value == pytest.approx(2 * math.log(2), abs=1e-6)


@pytest.mark.parametrize("radius", [0.7, 1.9])
def test_the_difference_of_two_rules_bounds_the_error_of_a_curved_wall(radius: float) -> None:
    found = quadrature(coordinates(integrand(Disc(radius), 1.0, normal_rows(100, 2))))
    exact = math.log(math.pi * radius**2)
    assert found.lower <= exact <= found.upper and abs(found.value - exact) < 1e-3
    assert found.verdict == "caution" and "not converged" in found.reason


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_what_is_flat_has_no_integral(dim: int) -> None:
    found = quadrature(coordinates(integrand(Flat(dim), 1.0, normal_rows(20, dim))))
    assert isinstance(found, FinalRefusal) and "no finite integral" in found.reason


def test_a_grid_that_is_refused_gives_way_to_annealing_unless_it_was_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(partition, "quadrature", lambda space: refused("no grid"))
    energy = build("energy", "quadratic", event=(2,))
    found = partition.log_z(integrand(energy), RECIPE, Budget())
    assert len(found.notes) == 2 and "annealed" in found.notes[1]
    asked = settings(method="quadrature")
    assert partition.log_z(integrand(energy), asked, Budget()).estimate.reason == "no grid"


def test_a_grid_in_many_dimensions_no_temperature_and_a_discrete_space_are_input_errors() -> None:
    asked = settings(method="quadrature")
    with pytest.raises(InputError, match="up to 3 dimensions, got 4"):
        partition.log_z(integrand(build("energy", "quadratic", event=(4,))), asked, Budget())
    with pytest.raises(InputError, match="temperature > 0"):
        partition.log_z(integrand(build("energy", "quadratic", event=(2,)), 0.0), RECIPE, Budget())
    with pytest.raises(InputError, match="method=quadrature needs continuous states, this space is binary"):
        partition.log_z(integrand(Peculiar(), 1.0, normal_rows(5, 2)), asked, Budget())


def test_without_rows_short_chains_find_where_the_model_is() -> None:
    energy = build("energy", "quadratic", {"a": [0.25, 25.0]}, event=(2,))
    own = coordinates(Integrand(energy, 1.0, (2,), None, 0))
    spread = own.scale_matrix.diagonal().numpy() / np.array([2.0, 0.2])
    assert (spread > 0.7).all() and (spread < 1.6).all()
