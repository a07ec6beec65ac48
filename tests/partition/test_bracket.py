"""Brackets: ends that hold as often as they say, Bennett's value and its error, and refusal where ends cross."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.bracket import BLOCKS, Backward, as_normal, bennett, beside, bracket, effective, quantile

OK = Estimate(1.0, reasons=("chains agree",))


def weights(mean: float, sd: float, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, sd, shape)


def crooks(repeats: int, n: int, chains: int, each: int, s: float) -> tuple[np.ndarray, np.ndarray]:
    """log w of both directions about log Z = 0: normal of mean ∓s²/2 and variance s² satisfy Crooks' relation."""
    return weights(-s * s / 2, s, repeats, n), weights(s * s / 2, s, repeats, chains, each, seed=1)


@pytest.mark.parametrize("s", [0.2, 0.9])
def test_each_end_holds_as_often_as_it_says_and_is_nearer_than_that_of_single_weights(s: float) -> None:
    repeats, n = 400, 64
    forth, back = crooks(repeats, n, BLOCKS, 4, s)
    both = zip(forth, back, strict=True)
    found = [bracket(f, Backward(b, OK), "ais") for f, b in both]
    lower, upper = np.array([(each.estimate.lower, each.estimate.upper) for each in found]).T
    least = 0.975 - 4 * (0.975 * 0.025 / repeats) ** 0.5
    assert (lower < 0).mean() > least and (upper > 0).mean() > least
    gap = np.array([each.gap for each in found])
    # Of single weights it is s².
    assert gap.mean() < (0.5 if s > 0.5 else 1.0) * s * s


def test_ends_of_nearly_equal_weights_hold_no_more_often_than_they_say() -> None:
    """Weights so alike that Jensen's inequality adds nothing: what is left is Student's interval."""
    repeats = 1000
    forth, back = crooks(repeats, 64, BLOCKS, 4, 0.01)
    found = [bracket(f, Backward(b, OK), "ais").estimate for f, b in zip(forth, back, strict=True)]
    for held in ([e.lower < 0 for e in found], [e.upper > 0 for e in found]):
        assert abs(np.mean(held) - 0.975) < 4 * (0.975 * 0.025 / repeats) ** 0.5


def test_the_mean_beside_paths_back_is_above_the_truth_and_below_that_of_paths_back_alone() -> None:
    """E log (w' + Σw)/(K + 1) by quadrature for K = 1, where both are normal."""
    s, n = 1.0, 20_000
    forth, back = crooks(1, n, n, 1, s)
    found = beside(list(forth.reshape(n, 1)), back[0])
    x, v = np.polynomial.hermite_e.hermegauss(60)
    v = v / v.sum()
    exact = v @ np.logaddexp(s * x[:, None] - s * s / 2, s * x + s * s / 2) @ v - math.log(2)
    assert 0 < exact < s * s / 2
    assert abs(found.mean() - exact) < 4 * found.std() / n**0.5
    # None beside it: the path back alone.
    assert np.array_equal(beside(list(np.zeros((n, 0))), back[0]), back[0][:, 0])


def test_weights_of_particles_are_not_put_beside_paths_back() -> None:
    forth, back = weights(0.0, 0.1, 8), weights(0.3, 0.2, 16, 4)
    found = bracket(forth, Backward(back, OK), "smc")
    assert found.gap == pytest.approx(back.mean() - forth.mean())


@pytest.mark.parametrize(
    ("s", "repeats"),
    [(0.5, 200), pytest.param(0.2, 1000, marks=pytest.mark.slow), pytest.param(1.0, 1000, marks=pytest.mark.slow)],
)
def test_bennetts_error_is_the_spread_of_its_value_and_its_value_is_unbiased(s: float, repeats: int) -> None:
    forth, back = crooks(repeats, 64, 16, 4, s)
    found = np.array([bennett(f, b) for f, b in zip(forth, back, strict=True)])
    z = found[:, 0] / found[:, 1]
    assert abs(found[:, 0].mean()) < 4 * found[:, 0].std() / repeats**0.5
    covered = (np.abs(z) < norm.ppf(0.975)).mean()
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / repeats) ** 0.5
    # Its errors are the spread, each part raised as so few values call for: between 64 paths' raise and 16 chains'.
    mean_square, spread = (found[:, 1] ** 2).mean(), found[:, 0].std(ddof=1)
    ratio = mean_square**0.5 / spread
    relative = np.hypot((found[:, 1] ** 2).std() / (2 * mean_square), 0.5**0.5) / repeats**0.5
    assert as_normal(64) - 4 * relative * ratio < ratio < as_normal(16) + 4 * relative * ratio


def test_paths_back_from_chains_that_differ_make_the_error_larger() -> None:
    """Four equal paths a chain are one."""
    forth, back = crooks(1, 64, 16, 1, 0.5)
    alike = bennett(forth[0], np.repeat(back[0], 4, 1))[1]
    assert alike > 1.1 * bennett(forth[0], weights(0.125, 0.5, 16, 4, seed=2))[1]


@pytest.mark.parametrize("n", [8, 64])
def test_the_value_forth_alone_covers_as_often_as_it_says(n: int) -> None:
    repeats, s = 400, 0.3
    forth, _ = crooks(repeats, n, 1, 1, s)
    found = [bracket(row, None, "ais").estimate for row in forth]
    value, se = np.array([(e.value, e.se) for e in found]).T
    covered = (np.abs(value / se) < norm.ppf(0.975)).mean()
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / repeats) ** 0.5


def test_an_error_of_few_values_is_raised_to_students() -> None:
    assert as_normal(8) * norm.ppf(0.975) == pytest.approx(quantile(8)) and as_normal(10_000) == pytest.approx(
        1, rel=1e-3
    )


def test_ends_that_cross_beyond_chance_are_refused_and_by_chance_are_doubted() -> None:
    found = bracket(weights(0.0, 0.1, 64), Backward(weights(-1.0, 0.1, 16, 4), OK), "bridge").estimate
    assert found.value is None and "cross" in found.reason
    # 0.05 are between the 2 errors of each end and the 4 that are no chance.
    forth = weights(0.0, 0.1, 64)
    by_chance = bracket(forth, Backward(forth[:, None] - 0.06, OK), "smc").estimate
    assert by_chance.value is not None and by_chance.lower < by_chance.upper and "by chance" in by_chance.reason


def test_doubts_about_the_chains_are_taken_over() -> None:
    doubted = OK.with_caution(["can't tell: too short"])
    back = Backward(weights(0.1, 0.2, 16, 4, seed=1), doubted)
    found = bracket(weights(0.0, 0.2, 64), back, "bridge").estimate
    assert found.upper is not None and found.verdict == "caution" and "can't tell" in found.reason


def test_chains_that_are_not_mixed_give_no_pessimistic_end_and_the_reason() -> None:
    found = bracket(weights(0.0, 0.2, 64), Backward(None, refused("not mixed: stuck")), "bridge").estimate
    assert found.upper is None and found.verdict == "caution" and "no pessimistic end: not mixed" in found.reason


def test_draws_outside_of_the_box_give_no_pessimistic_end() -> None:
    back = weights(0.1, 0.2, 16, 4)
    back[3, 2] = np.inf
    found = bracket(weights(0.0, 0.2, 64), Backward(back, OK), "bridge").estimate
    assert found.upper is None and "outside of the box" in found.reason


def test_a_bracket_wider_than_a_nat_is_doubted() -> None:
    forth, back = crooks(1, 64, BLOCKS, 4, 1.4)
    found = bracket(forth[0], Backward(back[0], OK), "bridge").estimate
    assert found.upper - found.lower > 1 and found.verdict == "caution" and "nats apart" in found.reason


def test_paths_that_end_nowhere_leave_no_optimistic_end() -> None:
    forth = weights(0.0, 0.1, 64)
    forth[3] = -np.inf
    found = bracket(forth, None, "ais").estimate
    assert found.value == pytest.approx(math.log(63 / 64), abs=0.1) and found.lower is None
    assert "no optimistic end" in found.reason
    assert bracket(np.full(8, -np.inf), None, "ais").estimate.verdict == "refused"


def test_weights_that_few_paths_carry_are_refused_with_what_would_mend_them() -> None:
    found = bracket(weights(0.0, 6.0, 64), None, "ais").estimate
    assert found.value is None and "collapsed" in found.reason and "raise temperatures" in found.reason


def test_the_effective_number_is_all_of_equal_weights_and_one_of_one() -> None:
    assert effective(np.zeros(5)) == pytest.approx(5) and effective(np.full(3, -np.inf)) == 0
    assert effective(np.array([0.0, -np.inf, -800.0])) == pytest.approx(1)
