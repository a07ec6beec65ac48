"""Quadratic against quadrature: log Z, moments, draws."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import log_integral, moment_z_scores, quadrature_moments

pytestmark = pytest.mark.usefixtures("float64")
A = [[0.7], [0.5, 2.0]]


@pytest.mark.parametrize("a", A)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_log_z_is_the_integral(a: list[float], temperature: float) -> None:
    energy = Quadratic(a, None)
    found = log_integral(lambda x: -energy(x) / temperature, len(a), 25.0, 401)
    assert energy.log_z(temperature) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("a", A)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_moments_are_the_integrals(a: list[float], temperature: float) -> None:
    energy = Quadratic(a, None)
    found = quadrature_moments(lambda x: -energy(x) / temperature, len(a), 25.0, 401)
    torch.testing.assert_close(energy.moments(temperature), found, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_draws_have_the_moments(temperature: float, rng: torch.Generator) -> None:
    energy = Quadratic([0.5, 2.0], None)
    z_mean, z_variance = moment_z_scores(energy.draw(20_000, temperature, rng), *energy.moments(temperature))
    assert z_mean.max() < 4 and z_variance.max() < 4


def test_one_curvature_serves_every_coordinate_of_an_image() -> None:
    one, many = Quadratic(3.0, (1, 2, 2)), Quadratic([3.0] * 4, (1, 2, 2))
    x = torch.arange(8.0).view(2, 1, 2, 2)
    torch.testing.assert_close(one(x), many(x))
    assert one.log_z(2.0) == pytest.approx(many.log_z(2.0))
    assert one.moments(2.0)[1].shape == (1, 2, 2)


def test_wrong_curvatures_are_named() -> None:
    with pytest.raises(InputError, match=r"^a must be > 0"):
        Quadratic([1.0, -1.0], None)
    with pytest.raises(InputError, match=r"^a must have one value per coordinate"):
        Quadratic([1.0, 1.0], (3,))
    with pytest.raises(InputError, match=r"^event is unknown"):
        Quadratic(1.0, None)
