"""Effective sample size: the number of draws for independent draws, and this number divided by τ for chains."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate
from tests.contract import build
from tests.diagnostic.ar1 import ar1


def estimates(chains: Chains) -> dict[str, Estimate]:
    return build("diagnostic", "ess")(ChainContext(chains)).estimates


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_ess_is_the_number_of_draws_over_the_autocorrelation_time(rho: float) -> None:
    chains, draws, tau = 16, 4000, (1 + rho) / (1 - rho)
    found = estimates(Chains(x=ar1(rho, chains, draws, seed=0)[:, :, None]))["ess_bulk_min"]
    # Sokal's error of τ summed over a window of 5 τ.
    relative = np.sqrt((4 * 5 * tau + 2) / (chains * draws))
    assert found.verdict == "ok"
    assert abs(found.value * tau / (chains * draws) - 1) < 4 * relative


def test_ess_is_arvizs_least_over_coordinates_and_energy() -> None:
    x = np.stack([ar1(rho, 8, 500, seed) for seed, rho in enumerate((0.2, 0.8, 0.0))], 2)
    slow = ar1(0.9, 8, 500, seed=9)
    each = [array_stats.ess(x[:, :, i], chain_axis=0, draw_axis=1, method="bulk") for i in range(3)]
    energy = array_stats.ess(slow, chain_axis=0, draw_axis=1, method="bulk")
    assert estimates(Chains(x=x))["ess_bulk_min"].value == min(each)
    assert estimates(Chains(x=x, potential=slow))["ess_bulk_min"].value == energy < min(each)


def test_too_small_an_ess_is_under_caution() -> None:
    found = estimates(Chains(x=ar1(0.95, 8, 200, seed=1)[:, :, None]))["ess_bulk_min"]
    assert found.verdict == "caution" and "Type steps=" in found.reason


def test_ess_per_gradient_divides_by_all_gradients_of_all_chains() -> None:
    found = estimates(Chains(x=ar1(0.0, 8, 500, seed=2)[:, :, None], gradients=700))
    assert found["ess_per_gradient"].value == found["ess_bulk_min"].value / (700 * 8)


def test_ess_per_gradient_is_refused_when_the_cost_is_unknown() -> None:
    found = estimates(Chains(x=ar1(0.0, 8, 500, seed=3)[:, :, None]))
    assert found["ess_per_gradient"].verdict == "refused" and found["ess_bulk_min"].verdict == "ok"
