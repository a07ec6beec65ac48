"""Shifted quadratic against quadrature: log Z, moments, draws, and the gradient of log Z."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.shifted_quadratic import ShiftedQuadratic
from tests.contract import log_integral, moment_z_scores, quadrature_moments

pytestmark = pytest.mark.usefixtures("float64")
THETA = [[0.8], [-1.0, 2.0]]
# Half-width of the box of a quadrature, and points per side.
BOX = (20.0, 401)


@pytest.mark.parametrize("theta", THETA)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_log_z_is_the_integral(theta: list[float], temperature: float) -> None:
    energy = ShiftedQuadratic(theta, None)
    found = log_integral(lambda x: -energy(x) / temperature, len(theta), *BOX)
    assert energy.log_z(temperature) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("theta", THETA)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_moments_are_the_integrals(theta: list[float], temperature: float) -> None:
    energy = ShiftedQuadratic(theta, None)
    found = quadrature_moments(lambda x: -energy(x) / temperature, len(theta), *BOX)
    torch.testing.assert_close(energy.moments(temperature), found, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_draws_have_the_moments(temperature: float, rng: torch.Generator) -> None:
    energy = ShiftedQuadratic([-1.0, 2.0], None)
    z_mean, z_variance = moment_z_scores(energy.draw(20_000, temperature, rng), *energy.moments(temperature))
    assert z_mean.max() < 4 and z_variance.max() < 4


def test_the_negative_phase_is_minus_theta() -> None:
    theta, h, temperature = 0.8, 1e-5, 2.0
    above, below = (ShiftedQuadratic([theta + d], None).log_z(temperature) for d in (h, -h))
    # The negative phase is ⟨∂E/∂θ⟩ = −T·d log Z/dθ, here by a central difference.
    assert -temperature * (above - below) / (2 * h) == pytest.approx(-theta, abs=1e-6)


def test_wrong_means_are_named() -> None:
    with pytest.raises(InputError, match=r"^mean must have one value per coordinate"):
        ShiftedQuadratic([1.0, 1.0], (3,))
    with pytest.raises(InputError, match=r"^mean must be a number"):
        ShiftedQuadratic([1.0, float("nan")], None)
    with pytest.raises(InputError, match=r"^event is unknown"):
        ShiftedQuadratic(1.0, None)
