"""Neal's funnel: its Z and moments at any temperature are the integrals, and draws have them."""

import math

import pytest
import torch

from ebm_cli.check import InputError
from tests.contract import build, log_integral, moment_z_scores, quadrature_moments

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_log_z_and_moments_are_the_integrals(temperature: float) -> None:
    # A narrow funnel: a grid resolves both its neck and its mouth.
    energy = build("energy", "funnel", {"spread": 0.4}, event=(2,))

    def log_f(x: torch.Tensor) -> torch.Tensor:
        return -energy(x) / temperature

    assert energy.log_z(temperature) == pytest.approx(log_integral(log_f, 2, 14.0, 561), abs=1e-6)
    torch.testing.assert_close(
        energy.moments(temperature), quadrature_moments(log_f, 2, 14.0, 561), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("temperature", [0.8, 1.2])
def test_draws_have_the_moments(temperature: float, rng: torch.Generator) -> None:
    energy = build("energy", "funnel", {"spread": 0.5}, event=(4,))
    x = energy.draw(40_000, temperature, rng)
    z_mean, z_variance = moment_z_scores(x, *energy.moments(temperature))
    assert z_mean.max() < 4 and z_variance.max() < 4


def test_it_is_neals_at_its_defaults() -> None:
    energy = build("energy", "funnel", event=None)
    assert energy.event == (10,) and energy.log_z(1.0) == pytest.approx(5 * math.log(2 * math.pi) + math.log(3))


def test_a_funnel_of_one_coordinate_is_named() -> None:
    with pytest.raises(InputError, match=r"^event must have at least 2 coordinates"):
        build("energy", "funnel", event=(1,))
