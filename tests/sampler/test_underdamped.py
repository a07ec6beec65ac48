"""BAOAB: no bias in x on a quadratic at any stable step, a stated one in v, and the step size for a stated bias."""

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov

from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import build
from tests.sampler.distributions import moderate

pytestmark = pytest.mark.usefixtures("float64")
MODERATE = {"step_size": 1.0}


def law(sampler, a: float) -> np.ndarray:
    """The stationary covariance of (x, v) on E = a/2·x²: C = M C Mᵀ + Q for (x, v)' = M (x, v) + noise."""
    η, c = sampler.step_size, np.exp(-sampler.friction * sampler.step_size)
    kick, drift = np.array([[1, 0], [-0.5 * η * a, 1]]), np.array([[1, 0.5 * η], [0, 1]])
    noise = np.diag([0, (1 - c**2) * sampler.temperature])
    after = kick @ drift
    return solve_discrete_lyapunov(after @ np.diag([1, c]) @ drift @ kick, after @ noise @ after.T)


@pytest.mark.parametrize("step_size", [0.1, 0.8, 1.3])
@pytest.mark.parametrize("friction", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_x_has_no_bias_and_v_the_docstrings(step_size: float, friction: float, temperature: float) -> None:
    a = 2.0
    sampler = moderate("underdamped", {"step_size": step_size, "friction": friction, "temperature": temperature})
    found = law(sampler, a)
    expected = np.diag([temperature / a, temperature * (1 - a * step_size**2 / 4)])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_step_size_for_a_bias_has_it() -> None:
    sampler = build("sampler", "underdamped")
    η = sampler.step_size_for(5.0, 0.1)
    assert 5.0 * η**2 / 4 == pytest.approx(0.1)


def test_the_energy_error_vanishes_with_the_third_power_of_the_step(rng: torch.Generator) -> None:
    energy = Quadratic([3.0], None)
    x = energy.draw(4000, 1.0, rng)
    errors = [
        moderate("underdamped", {"step_size": η, "friction": 1e-9}).bias(energy, x, rng)["energy_error"].mean()
        for η in (0.02, 0.04)
    ]
    assert float(errors[1] / errors[0]) == pytest.approx(8.0, rel=0.1)


def test_a_friction_of_zero_is_named() -> None:
    with pytest.raises(InputError, match=r"^friction must be > 0"):
        build("sampler", "underdamped", {"friction": 0.0})
