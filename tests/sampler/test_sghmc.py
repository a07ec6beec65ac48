"""SGHMC against its exact stationary law on a quadratic, and against SGLD at full friction."""

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov

from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import Sampler
from tests.contract import build, moment_z_scores

pytestmark = pytest.mark.usefixtures("float64")
CHAINS = 40_000  # The variance's standard error is √(2/CHAINS) = 0.7 % of it.
A = 2.0


def sghmc(step_size: float, friction: float, temperature: float) -> Sampler:
    return build("sampler", "sghmc", {"step_size": step_size, "friction": friction, "temperature": temperature})


def law(sampler, a: float) -> np.ndarray:
    """The stationary covariance of (x, v) on E = a/2·x²: C = M C Mᵀ + Q for (x, v)' = M (x, v) + noise."""
    η, α = sampler.step_size, sampler.friction
    m = np.array([[1 - η * a, 1 - α], [-η * a, 1 - α]])
    return solve_discrete_lyapunov(m, np.full((2, 2), 2 * α * η * sampler.temperature))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("step_size", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("friction", [0.2, 0.7])
def test_stationary_variance_is_the_docstrings(step_size: float, friction: float, temperature: float) -> None:
    variance = (temperature / A) / (1 - step_size * A / (2 * (2 - friction)))
    assert law(sghmc(step_size, friction, temperature), A)[0, 0] == pytest.approx(variance, rel=1e-9)


def test_velocities_start_at_their_small_step_law(rng: torch.Generator) -> None:
    state = sghmc(0.3, 0.2, 2.0).init(Quadratic([A], None), torch.zeros(CHAINS, 1), rng)
    z_mean, z_variance = moment_z_scores(state.v, 0.0, 0.3 * 2.0)
    assert z_mean < 4 and z_variance < 4


def test_at_full_friction_it_is_sgld(rng: torch.Generator) -> None:
    energy = Quadratic([A, 0.5], None)
    x = torch.randn(9, 2, generator=rng)
    ours, sgld = sghmc(0.3, 1.0, 2.0), build("sampler", "sgld", {"step_size": 0.3, "temperature": 2.0})
    state, other = ours.init(energy, x, rng), sgld.init(energy, x, rng)
    for seed in range(5):
        state, _ = ours.step(energy, state, torch.Generator().manual_seed(seed))
        other, _ = sgld.step(energy, other, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(state.x, other.x)


@pytest.mark.parametrize("friction", [0.0, -0.1, 1.1])
def test_a_friction_outside_its_range_is_named(friction: float) -> None:
    with pytest.raises(InputError, match=r"^friction must be"):
        build("sampler", "sghmc", {"friction": friction})
