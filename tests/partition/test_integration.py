"""Thermodynamic integration: exact where the mean drive bends once, between ends that a rising drive gives."""

import numpy as np
import pytest

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.integration import corrected, integrated

OK = Estimate(1.0)
BETAS = np.array([0.0, 0.2, 0.5, 1.0])


def drives(mean: np.ndarray, slope: np.ndarray, ladders: int = 16, draws: int = 2000, seed: int = 0) -> np.ndarray:
    """Independent normal drives of these means and variances."""
    noise = np.random.default_rng(seed).normal(size=(draws, len(mean), ladders))
    return mean[:, None] + np.sqrt(slope)[:, None] * noise


@pytest.mark.parametrize("power", [1, 2, 3])
def test_the_rule_is_exact_for_drives_up_to_the_third_power(power: int) -> None:
    mean, slope = BETAS**power, power * BETAS ** (power - 1)
    assert corrected(BETAS, mean[:, None], slope)[0] == pytest.approx(1 / (power + 1), abs=1e-12)


def test_it_is_right_within_its_error_and_between_its_ends() -> None:
    """A Gaussian's drive: ⟨D⟩ = c/(1 + cβ), log Z = log(1 + c)."""
    c, betas = 1.5, np.linspace(0, 1, 7)
    mean = -c / (1 + c * betas)
    found = integrated(betas, drives(mean, mean**2), OK)
    e = found.estimate
    assert e.verdict == "ok" and abs(e.value + np.log(1 + c)) < 4 * e.se
    assert e.lower < -np.log(1 + c) < e.upper and found.gap is not None and found.gap < e.upper - e.lower


def test_a_coarse_ladder_that_bends_is_no_surer_than_half_of_it_tells() -> None:
    """All but no noise: the error must be that of the rule."""
    betas = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    c = 8.0
    mean = -c / (1 + c * betas)
    steep = drives(mean, mean**2, draws=200_000, ladders=4)
    e = integrated(betas, steep, OK).estimate
    assert abs(e.value + np.log(1 + c)) < 4 * e.se


def test_chains_that_are_not_mixed_give_no_integral_and_doubts_are_taken_over() -> None:
    given = drives(BETAS, 0 * BETAS + 1)
    assert "no integral: not mixed" in integrated(BETAS, given, refused("not mixed: stuck")).estimate.reason
    doubted = integrated(BETAS, given, OK.with_caution(["can't tell: too short"])).estimate
    assert doubted.verdict == "caution" and "too short" in doubted.reason


def test_a_drive_that_is_not_finite_gives_no_integral() -> None:
    given = drives(BETAS, 0 * BETAS + 1)
    given[3, 1, 2] = -np.inf
    found = integrated(BETAS, given, OK).estimate
    assert found.verdict == "refused" and "no finite energy" in found.reason


def test_ends_that_are_far_apart_are_doubted() -> None:
    found = integrated(BETAS, drives(20 * BETAS, 0 * BETAS + 20), OK).estimate
    assert found.verdict == "caution" and "nats apart" in found.reason
