"""Gaussian mixture: normalized, with the moments of its draws, and closed forms only at T = 1."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from tests.contract import log_integral, moment_z_scores, quadrature_moments

pytestmark = pytest.mark.usefixtures("float64")
LINE = ([[-1.0], [2.0]], [0.5, 0.8], [1.0, 3.0])
PLANE = ([[-2.0, 0.0], [1.0, 1.0], [0.0, -2.0]], [0.4, 0.7, 1.0], [0.2, 0.5, 0.3])


@pytest.mark.parametrize("parts", [LINE, PLANE])
def test_it_integrates_to_one(parts: tuple) -> None:
    energy = GaussianMixture(*parts)
    found = log_integral(lambda x: -energy(x), len(parts[0][0]), 12.0, 241)
    assert energy.log_z(1.0) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("parts", [LINE, PLANE])
def test_moments_are_the_integrals(parts: tuple) -> None:
    energy = GaussianMixture(*parts)
    found = quadrature_moments(lambda x: -energy(x), len(parts[0][0]), 12.0, 241)
    torch.testing.assert_close(energy.moments(1.0), found, atol=1e-6, rtol=1e-6)


def test_draws_have_the_moments(rng: torch.Generator) -> None:
    energy = GaussianMixture(*PLANE)
    z_mean, z_variance = moment_z_scores(energy.draw(20_000, 1.0, rng), *energy.moments(1.0))
    assert z_mean.max() < 4 and z_variance.max() < 4


def test_closed_forms_are_refused_at_other_temperatures(rng: torch.Generator) -> None:
    energy = GaussianMixture(*LINE)
    for ask in (energy.log_z, energy.moments, lambda t: energy.draw(1, t, rng)):
        with pytest.raises(ValueError, match="only at temperature 1, got 2"):
            ask(2.0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([[0.0], [1.0, 2.0]], [1.0, 1.0], [1.0, 1.0]), "^means must be points of one dimension"),
        (([[0.0], [1.0]], [1.0], [1.0, 1.0]), "^stds and weights must have one value per mean"),
        (([[0.0]], [0.0], [1.0]), "^stds must be > 0"),
        (([[0.0]], [1.0], [-1.0]), "^weights must be > 0"),
    ],
)
def test_wrong_parts_are_named(parts: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GaussianMixture(*parts)
