"""log Z from replicas: exact for a Gaussian within its error, inside its bounds, and refused without mixing."""

import math

import numpy as np
import pytest
from jaxtyping import Float

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.replica_log_z import multistate_free_energies, replica_log_z

A, BETAS = 4.0, np.array([1.0, 0.6, 0.2, 0.0])
EXACT = 0.5 * math.log(2 * math.pi / A)


def delta_u(seed: int, draws: int = 50, chains: int = 16) -> Float[np.ndarray, "draw K n"]:
    """Return U₀ − U of exact draws between a standard normal, U₀, and U = ½Az²: at β the precision is 1 − β + βA."""
    z = np.random.default_rng(seed).normal(size=(draws, len(BETAS), chains))
    z = z / np.sqrt(1 - BETAS + BETAS * A)[:, None]
    return 0.5 * z**2 + 0.5 * math.log(2 * math.pi) - 0.5 * A * z**2


def test_value_is_exact_within_its_error_and_inside_its_bounds() -> None:
    found = [replica_log_z(BETAS, delta_u(seed), 0.5, Estimate(1.0)) for seed in range(12)]
    z = [(each.value - 0.5 - EXACT) / each.se for each in found]
    # The scores have mean 0 and variance 1, so that their sum over 12 seeds is within 4·√12.
    assert abs(sum(z)) < 4 * 12**0.5 and max(map(abs, z)) < 4.5
    assert np.std([each.value for each in found]) == pytest.approx(np.mean([each.se for each in found]), rel=0.6)
    assert all(each.lower < EXACT + 0.5 < each.upper for each in found)


def test_free_energies_of_two_densities_are_those_of_the_acceptance_ratio() -> None:
    # With two densities the equation is Bennett's: Σ₀ f(v − Δ) = Σ₁ f(Δ − v), f the logistic function, Δ = log Z₁/Z₀.
    v = delta_u(0)[:, [3, 0]]
    Δ = -multistate_free_energies(np.array([0.0, 1.0]), v)[1]
    logistic = [1 / (1 + np.exp(Δ - v[:, 0])), 1 / (1 + np.exp(v[:, 1] - Δ))]
    assert logistic[0].sum() == pytest.approx(logistic[1].sum(), rel=1e-4)


def test_chains_that_are_not_mixed_give_no_value() -> None:
    found = replica_log_z(BETAS, delta_u(0), 0.0, refused("not mixed: R̂ is 1.4"))
    assert found.verdict == "refused" and "not mixed" in found.reason
