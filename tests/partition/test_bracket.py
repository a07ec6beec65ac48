"""Brackets: bounds hold with their nominal probability, Bennett's estimate and its error, refusal if bounds cross."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.bracket import BLOCKS, Bound, ReversePaths, bracket, multi_sample_upper_bounds
from ebm_cli.partition.bridge import bennett
from ebm_cli.partition.log_weights import BOUND_LEVEL, bound_quantile, student_factor

OK = Estimate(1.0, reasons=("chains agree",))


def weights(mean: float, sd: float, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, sd, shape)


def crooks(repeats: int, n: int, chains: int, each: int, s: float) -> tuple[np.ndarray, np.ndarray]:
    """log w of both directions about log Z = 0: normal of mean ∓s²/2 and variance s² satisfy Crooks' relation."""
    return weights(-s * s / 2, s, repeats, n), weights(s * s / 2, s, repeats, chains, each, seed=1)


@pytest.mark.parametrize("s", [0.2, 0.9])
def test_bounds_hold_with_their_probability_and_are_tighter_than_those_of_single_weights(s: float) -> None:
    repeats, n = 400, 64
    forward, reverse = crooks(repeats, n, BLOCKS, 4, s)
    both = zip(forward, reverse, strict=True)
    found = [bracket(f, ReversePaths(b, OK), "ais") for f, b in both]
    lower, upper = np.array([(each.estimate.lower, each.estimate.upper) for each in found]).T
    least = BOUND_LEVEL - 4 * (BOUND_LEVEL * (1 - BOUND_LEVEL) / repeats) ** 0.5
    assert (lower < 0).mean() > least and (upper > 0).mean() > least
    gap = np.array([each.gap for each in found])
    # Of single weights it is s².
    assert gap.mean() < (0.5 if s > 0.5 else 1.0) * s * s


def test_a_bound_of_normal_values_holds_with_exactly_its_probability() -> None:
    """In particular that of weights so alike that Jensen's inequality adds nothing."""
    repeats = 400_000
    values = np.random.default_rng(0).normal(size=(repeats, 8))
    means, errors = values.mean(1), values.std(1, ddof=1) / 8**0.5
    error = 4 * (BOUND_LEVEL * (1 - BOUND_LEVEL) / repeats) ** 0.5
    assert abs((means - bound_quantile(8) * errors < 0).mean() - BOUND_LEVEL) < error
    first = Bound.from_blocks(values[0])
    assert (first.mean, first.margin) == pytest.approx((means[0], bound_quantile(8) * errors[0]))


def test_multi_sample_upper_bounds_is_between_the_truth_and_the_single_sample_bound() -> None:
    """E log (w' + Σw)/(K + 1) by quadrature for K = 1, where both are normal."""
    s, n = 1.0, 20_000
    forward, reverse = crooks(1, n, n, 1, s)
    found = multi_sample_upper_bounds(list(forward.reshape(n, 1)), reverse[0])
    x, v = np.polynomial.hermite_e.hermegauss(60)
    v = v / v.sum()
    exact = v @ np.logaddexp(s * x[:, None] - s * s / 2, s * x + s * s / 2) @ v - math.log(2)
    assert 0 < exact < s * s / 2
    assert abs(found.mean() - exact) < 4 * found.std() / n**0.5
    # Without forward paths it is the reverse path's own weight.
    assert np.array_equal(multi_sample_upper_bounds(list(np.zeros((n, 0))), reverse[0]), reverse[0][:, 0])


def test_smc_uses_the_single_sample_upper_bound() -> None:
    forward, reverse = weights(0.0, 0.1, 8), weights(0.3, 0.2, 16, 4)
    found = bracket(forward, ReversePaths(reverse, OK), "smc")
    assert found.gap == pytest.approx(reverse.mean() - forward.mean())


@pytest.mark.parametrize(
    ("s", "repeats"),
    [(0.5, 200), pytest.param(0.2, 1000, marks=pytest.mark.slow), pytest.param(1.0, 1000, marks=pytest.mark.slow)],
)
def test_bennett_is_unbiased_with_a_calibrated_error(s: float, repeats: int) -> None:
    forward, reverse = crooks(repeats, 64, 16, 4, s)
    found = np.array([bennett(f, b) for f, b in zip(forward, reverse, strict=True)])
    z = found[:, 0] / found[:, 1]
    assert abs(found[:, 0].mean()) < 4 * found[:, 0].std() / repeats**0.5
    covered = (np.abs(z) < norm.ppf(0.975)).mean()
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / repeats) ** 0.5
    # Errors exceed the standard deviation by Student's factor, between that of 64 paths and that of 16 chains.
    mean_square, std = (found[:, 1] ** 2).mean(), found[:, 0].std(ddof=1)
    ratio = mean_square**0.5 / std
    relative = np.hypot((found[:, 1] ** 2).std() / (2 * mean_square), 0.5**0.5) / repeats**0.5
    assert student_factor(64) - 4 * relative * ratio < ratio < student_factor(16) + 4 * relative * ratio


def test_bennett_error_grows_with_differences_between_chains() -> None:
    """Four equal paths per chain count as one."""
    forward, reverse = crooks(1, 64, 16, 1, 0.5)
    alike = bennett(forward[0], np.repeat(reverse[0], 4, 1))[1]
    assert alike > 1.1 * bennett(forward[0], weights(0.125, 0.5, 16, 4, seed=2))[1]


@pytest.mark.parametrize("n", [8, 64])
def test_forward_value_covers_with_its_probability(n: int) -> None:
    repeats, s = 400, 0.3
    forward, _ = crooks(repeats, n, 1, 1, s)
    found = [bracket(row, None, "ais").estimate for row in forward]
    value, se = np.array([(e.value, e.se) for e in found]).T
    covered = (np.abs(value / se) < norm.ppf(0.975)).mean()
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / repeats) ** 0.5


def test_student_factor_gives_students_interval() -> None:
    assert student_factor(8) * norm.ppf(0.975) == pytest.approx(t.ppf(0.975, 7))
    assert student_factor(10_000) == pytest.approx(1, rel=1e-3)


def test_bounds_that_cross_are_refused_beyond_chance_and_cautioned_within() -> None:
    found = bracket(weights(0.0, 0.1, 64), ReversePaths(weights(-1.0, 0.1, 16, 4), OK), "bridge").estimate
    assert found.value is None and "exceeds the upper bound" in found.reason
    # 3.7 errors lie between the 3.46 of Student's quantile and the 4 beyond chance; the reverse weights have no error.
    forward = weights(0.0, 0.1, 64)
    below = forward.mean() - 3.7 * forward.std(ddof=1) / 8
    by_chance = bracket(forward, ReversePaths(np.full((64, 1), below), OK), "smc").estimate
    assert by_chance.value is not None and by_chance.lower < by_chance.upper and "the bounds cross" in by_chance.reason


def test_bracket_inherits_cautions_of_the_chains() -> None:
    doubted = OK.with_caution(["can't tell: too short"])
    reverse = ReversePaths(weights(0.1, 0.2, 16, 4, seed=1), doubted)
    found = bracket(weights(0.0, 0.2, 64), reverse, "bridge").estimate
    assert found.upper is not None and found.verdict == "caution" and "can't tell" in found.reason


def test_bracket_of_unmixed_chains_has_no_upper_bound_and_the_reason() -> None:
    found = bracket(weights(0.0, 0.2, 64), ReversePaths(None, refused("not mixed: stuck")), "bridge").estimate
    assert found.upper is None and found.verdict == "caution" and "no upper bound on log Z: not mixed" in found.reason


def test_bracket_of_draws_outside_of_the_box_has_no_upper_bound() -> None:
    reverse = weights(0.1, 0.2, 16, 4)
    reverse[3, 2] = np.inf
    found = bracket(weights(0.0, 0.2, 64), ReversePaths(reverse, OK), "bridge").estimate
    assert found.upper is None and "outside of the box" in found.reason


def test_bracket_wider_than_a_nat_is_cautioned() -> None:
    forward, reverse = crooks(1, 64, BLOCKS, 4, 1.4)
    found = bracket(forward[0], ReversePaths(reverse[0], OK), "bridge").estimate
    assert found.upper - found.lower > 1 and found.verdict == "caution" and "nats apart" in found.reason


def test_bracket_of_paths_without_energy_has_no_lower_bound() -> None:
    forward = weights(0.0, 0.1, 64)
    forward[3] = -np.inf
    found = bracket(forward, None, "ais").estimate
    assert found.value == pytest.approx(math.log(63 / 64), abs=0.1) and found.lower is None
    assert "no lower bound on log Z" in found.reason
    assert bracket(np.full(8, -np.inf), None, "ais").estimate.verdict == "refused"


def test_collapsed_weights_are_refused_with_a_remedy() -> None:
    found = bracket(weights(0.0, 6.0, 64), None, "ais").estimate
    assert found.value is None and "collapsed" in found.reason
    # The variance of the 64 log weights, whose expectation is 36.
    assert "increase temperatures or budget, about 30 times" in found.reason
