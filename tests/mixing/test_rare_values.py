"""Coordinates that are nearly always equal, as pixels of the background: their few exceptions are no oscillation."""

import numpy as np
import pytest

from ebm_cli.mixing._chain_statistics import active_draws, chain_statistics
from ebm_cli.mixing.probe_outcome import site_entropy


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.03])
def test_independent_exceptions_are_no_cycle(rate: float) -> None:
    for seed in range(20):
        values = (np.random.default_rng(seed).random((64, 100)) < rate).astype(float)
        assert chain_statistics(values, 64, 1.0).cycle == 0


def test_a_cycle_of_two_values_is_found() -> None:
    values = np.tile(np.arange(400) // 10 % 2, (8, 1)).astype(float)
    values[:, ::7] = np.random.default_rng(0).integers(2, size=values[:, ::7].shape)
    assert chain_statistics(values, 8, 1.0).cycle > 0.5


def test_active_draws_are_the_exceptions_or_a_third_of_normal_draws() -> None:
    rare = np.zeros((2, 1000))
    rare[0, [3, 500, 700]] = 1
    assert active_draws(rare)[0] == pytest.approx(3, abs=0.1) and active_draws(rare)[1] == 0
    normal = np.random.default_rng(0).standard_normal((500, 300))
    assert active_draws(normal).mean() == pytest.approx(100, abs=3)


def test_the_entropy_of_sites_is_that_of_their_frequencies() -> None:
    draws = np.zeros((4, 2, 3))
    draws[:2, 0, 0] = 1
    draws[:1, 1] = 1
    fourth = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert site_entropy(draws, "binary") == pytest.approx([np.log(2), 3 * fourth])
    assert site_entropy(2 * draws - 1, "spin") == pytest.approx([np.log(2), 3 * fourth])
    one_hot = np.eye(3)[np.array([0, 1, 2, 0])][:, None]
    assert site_entropy(one_hot, "categorical") == pytest.approx([0.5 * np.log(2) + 0.5 * np.log(4)])
