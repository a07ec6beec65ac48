"""SGLD against its exact stationary law on a quadratic."""

import numpy as np
import pytest
import torch

from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler
from tests.contract import build, moment_z_scores

pytestmark = pytest.mark.usefixtures("float64")
CHAINS = 40_000  # The variance's standard error is √(2/CHAINS) = 0.7 % of it.
A = 2.0


def law(sampler, a: float) -> np.ndarray:
    """The stationary variance of x on E = a/2·x²."""
    return np.array([[(sampler.temperature / a) / (1 - a * sampler.step_size / 2)]])


def sgld(step_size: float, temperature: float) -> Sampler:
    return build("sampler", "sgld", {"step_size": step_size, "temperature": temperature})


def test_a_step_is_the_docstrings_formula(rng: torch.Generator) -> None:
    sampler, energy = sgld(0.1, 3.0), Quadratic([2.0, 0.5], None)
    x = torch.randn(4, 2, generator=rng)
    state, _ = sampler.step(energy, sampler.init(energy, x, rng), torch.Generator().manual_seed(5))
    ξ = normal_like(x, torch.Generator().manual_seed(5))
    torch.testing.assert_close(state.x, x - 0.1 * torch.tensor([2.0, 0.5]) * x + (2 * 0.1 * 3.0) ** 0.5 * ξ)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("step_size", [0.1, 0.4, 0.8])
def test_stationary_variance_is_biased_by_one_over_one_minus_half_a_eta(
    step_size: float, temperature: float, rng: torch.Generator
) -> None:
    variance = (temperature / A) / (1 - A * step_size / 2)
    sampler, energy = sgld(step_size, temperature), Quadratic([A], None)
    state = sampler.init(energy, variance**0.5 * torch.randn(CHAINS, 1, generator=rng), rng)
    for _ in range(20):
        state, _ = sampler.step(energy, state, rng)
    z_mean, z_variance = moment_z_scores(state.x, 0.0, variance)
    assert z_mean < 4 and z_variance < 4
