"""R̂: 1 for chains of one distribution, large for chains of different distributions."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate
from tests.contract import build
from tests.diagnostic.ar1 import ar1


def estimates(x: np.ndarray) -> dict[str, Estimate]:
    return build("diagnostic", "r_hat")(ChainContext(Chains(x=x))).estimates


def test_iid_chains_agree() -> None:
    found = estimates(ar1(0.0, 8, 1000, seed=0)[:, :, None])
    assert found["r_hat_max"].verdict == "ok" and 0.99 < found["r_hat_max"].value < 1.01


def test_chains_with_different_means_disagree() -> None:
    found = estimates((ar1(0.0, 8, 1000, seed=1) + np.arange(8)[:, None])[:, :, None])
    assert found["r_hat_max"].verdict == "caution" and found["r_hat_max"].value > 1.1


def test_chains_with_different_scales_disagree() -> None:
    found = estimates((ar1(0.0, 8, 1000, seed=2) * np.geomspace(1, 16, 8)[:, None])[:, :, None])
    assert found["r_hat_max"].value > 1.1


def test_chains_between_the_bounds_are_under_caution() -> None:
    x = ar1(0.0, 8, 1000, seed=3)
    x[:4] += 0.3
    found = estimates(x[:, :, None])
    assert 1.01 < found["r_hat_max"].value < 1.1
    assert found["r_hat_max"].verdict == "caution" and "Type steps=" in found["r_hat_max"].reason


def test_r_hat_is_arvizs_largest_over_coordinates() -> None:
    x = np.stack([ar1(rho, 8, 300, seed) for seed, rho in enumerate((0.5, 0.9, 0.0))], 2)
    each = [array_stats.rhat(x[:, :, i], chain_axis=0, draw_axis=1, method="rank") for i in range(3)]
    assert estimates(x)["r_hat_max"].value == max(each)


@pytest.mark.parametrize("bounds", [{"caution_above": 1.0}, {"caution_above": 1.2, "fail_above": 1.1}])
def test_bounds_out_of_order_are_an_input_error(bounds: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be > "):
        build("diagnostic", "r_hat", bounds)
