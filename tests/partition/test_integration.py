"""Thermodynamic integration: exact for cubic ⟨ΔU⟩, between bounds that follow from its monotonicity."""

import numpy as np
import pytest

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.integration import corrected_trapezoid, thermodynamic_integral

OK = Estimate(1.0)
BETAS = np.array([0.0, 0.2, 0.5, 1.0])


def normal_delta_u(
    mean: np.ndarray, slope: np.ndarray, ladders: int = 16, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """Independent normal delta_u of these means and variances."""
    noise = np.random.default_rng(seed).normal(size=(draws, len(mean), ladders))
    return mean[:, None] + np.sqrt(slope)[:, None] * noise


@pytest.mark.parametrize("power", [1, 2, 3])
def test_corrected_trapezoid_is_exact_up_to_cubic_functions(power: int) -> None:
    mean, slope = BETAS**power, power * BETAS ** (power - 1)
    assert corrected_trapezoid(BETAS, mean[:, None], slope)[0] == pytest.approx(1 / (power + 1), abs=1e-12)


def test_integral_is_within_its_error_and_bounds_of_the_truth() -> None:
    """For a Gaussian ⟨ΔU⟩ = −c/(1 + cβ), log Z = log(1 + c)."""
    c, betas = 1.5, np.linspace(0, 1, 7)
    mean = -c / (1 + c * betas)
    found = thermodynamic_integral(betas, normal_delta_u(mean, mean**2), OK)
    e = found.estimate
    assert e.verdict == "ok" and abs(e.value + np.log(1 + c)) < 4 * e.se
    assert e.lower < -np.log(1 + c) < e.upper and found.gap is not None and found.gap < e.upper - e.lower


def test_integral_on_a_coarse_ladder_has_the_error_of_the_rule() -> None:
    """All but no noise: the error must be that of the rule."""
    betas = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    c = 8.0
    mean = -c / (1 + c * betas)
    steep = normal_delta_u(mean, mean**2, draws=200_000, ladders=4)
    e = thermodynamic_integral(betas, steep, OK).estimate
    assert abs(e.value + np.log(1 + c)) < 4 * e.se


def test_integral_of_unmixed_chains_is_refused_and_cautions_are_inherited() -> None:
    given = normal_delta_u(BETAS, 0 * BETAS + 1)
    assert (
        "no thermodynamic integral: not mixed"
        in thermodynamic_integral(BETAS, given, refused("not mixed: stuck")).estimate.reason
    )
    doubted = thermodynamic_integral(BETAS, given, OK.with_caution(["can't tell: too short"])).estimate
    assert doubted.verdict == "caution" and "too short" in doubted.reason


def test_integral_of_infinite_energies_is_refused() -> None:
    given = normal_delta_u(BETAS, 0 * BETAS + 1)
    given[3, 1, 2] = -np.inf
    found = thermodynamic_integral(BETAS, given, OK).estimate
    assert found.verdict == "refused" and "non-finite energy" in found.reason


def test_integral_with_distant_bounds_is_cautioned() -> None:
    found = thermodynamic_integral(BETAS, normal_delta_u(20 * BETAS, 0 * BETAS + 20), OK).estimate
    assert found.verdict == "caution" and "nats apart" in found.reason
