"""Coverage: a count by hand, its expectation for equal distributions, its error, and the picture of missed rows."""

import numpy as np
import pytest
import torch

from ebm_cli.data._features import identity_features
from ebm_cli.estimate import Result
from ebm_cli.metric.coverage import break_ties, distances, expected_coverage, std_over_halves
from tests.contract import build
from tests.metric.subject import normal, subject

SEEDS = 100


def found(samples: torch.Tensor, n: int = 400, neighbours: int = 5, **changes: object) -> Result:
    """Coverage of n held-out rows of a standard normal in the plane."""
    data = build("data", "gaussian", {"n": 100})
    asked = subject(data, samples, held_out=data.split("held_out")._replace(x=normal(n, 2, seed=99)), **changes)
    return build("metric", "coverage", {"neighbours": neighbours})(asked)


def coverage(x: np.ndarray, y: np.ndarray, k: int) -> float:
    return float((distances(x, y).gap(k) <= 0).mean())


def over_seeds(n: int, m: int, k: int, dim: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and its stated errors for N(shift, I) against N(0, I)."""
    values = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        x, y = random.standard_normal((n, dim)) + shift, random.standard_normal((m, dim))
        values.append((coverage(x, y, k), std_over_halves([distances(x, y)], k)))
    value, error = np.array(values).T
    return value, error


@pytest.mark.parametrize("k", [1, 2, 4])
def test_coverage_is_the_count_of_balls_that_hold_a_sample(k: int) -> None:
    random = np.random.default_rng(k)
    x, y = random.standard_normal((7, 3)), random.standard_normal((9, 3))
    covered = 0
    for i in range(9):
        radius = sorted(np.linalg.norm(y[i] - y[j]) for j in range(9) if j != i)[k - 1]
        covered += any(np.linalg.norm(y[i] - sample) <= radius for sample in x)
    assert coverage(x, y, k) == covered / 9


@pytest.mark.parametrize(("n", "m", "k", "dim"), [(60, 60, 5, 2), (30, 80, 3, 10), (80, 30, 1, 1)])
def test_equal_laws_reach_the_expectation_that_is_stated(n: int, m: int, k: int, dim: int) -> None:
    values = np.array(
        [
            coverage(random.standard_normal((n, dim)), random.standard_normal((m, dim)), k)
            for random in map(np.random.default_rng, range(600))
        ]
    )
    assert abs(values.mean() - expected_coverage(n, m, k)) < 4 * values.std(ddof=1) / np.sqrt(len(values))


def test_the_expectation_is_one_half_for_a_neighbour_and_large_equal_sides() -> None:
    assert expected_coverage(100_000, 100_000, 1) == pytest.approx(0.5, abs=1e-5)
    assert expected_coverage(100_000, 100_000, 5) == pytest.approx(1 - 2**-5, abs=1e-5)


@pytest.mark.parametrize(("n", "m", "k", "dim", "shift"), [(80, 80, 5, 2, 0.0), (40, 100, 1, 10, 0.5)])
def test_the_stated_error_is_the_spread_over_seeds_or_up_to_half_as_much_again(
    n: int, m: int, k: int, dim: int, shift: float
) -> None:
    values, errors = over_seeds(n, m, k, dim, shift)
    spread, noise = values.std(ddof=1), 1 / np.sqrt(2 * (SEEDS - 1))
    ratio = np.sqrt((errors**2).mean()) / spread
    assert 1 - 4 * noise < ratio < 1.5 * (1 + 4 * noise)
    # 95 % of a normal law lie within two of its own standard deviations.
    within = (abs(values - values.mean()) <= 2 * errors).mean()
    assert within > 0.95 - 4 * np.sqrt(0.95 * 0.05 / SEEDS)


def test_equal_laws_are_within_the_error_of_the_expected_value() -> None:
    estimates = found(normal(400, 2, seed=1)).estimates
    value, expected = estimates["coverage"], estimates["coverage_expected"]
    assert value.verdict == expected.verdict == "ok"
    assert expected.value == pytest.approx(expected_coverage(400, 400, 5))
    assert abs(value.value - expected.value) < 4 * value.se


def test_half_of_the_plane_without_samples_is_half_uncovered() -> None:
    samples = normal(800, 2, seed=2)
    value = found(samples[samples[:, 0] > 0]).estimates["coverage"]
    assert value.verdict == "ok" and value.value < 0.65


def test_a_value_of_none_or_all_has_an_error_too() -> None:
    for samples, value in ((normal(400, 2, seed=3) + 50, 0.0), (normal(40_000, 2, seed=3), 1.0)):
        estimate = found(samples, n=100).estimates["coverage"]
        assert estimate.value == value and estimate.se > 0


def test_too_few_held_out_rows_are_refused() -> None:
    for estimate in found(normal(50, 2, seed=4), n=11).estimates.values():
        assert estimate.verdict == "refused" and "12" in estimate.reason


def test_what_is_wrong_with_the_samples_is_taken_over() -> None:
    estimates = found(normal(50, 2, seed=5), warnings=("3 chains broke",)).estimates
    assert estimates["coverage"].verdict == "caution" and "3 chains broke" in estimates["coverage"].reason
    assert estimates["coverage_expected"].verdict == "ok"


def test_copies_of_a_held_out_row_cover_it_only_when_they_lie_on_it() -> None:
    y = np.zeros((20, 2))
    assert coverage(np.zeros((1, 2)), y, 3) == 1.0
    assert coverage(np.full((5, 2), 0.1), y, 3) == 0.0


@pytest.mark.parametrize(("name", "shape"), [("gaussian", (2,)), ("gaussian", (5,)), ("digits", (1, 8, 8))])
def test_what_is_not_covered_is_drawn(name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    data = build("data", name, {"dim": shape[0], "n": 100} if name == "gaussian" else {})
    monkeypatch.setattr("ebm_cli.metric.features_of", lambda *_: identity_features())
    samples = torch.zeros(20, *shape)
    few = data.split("held_out")
    held_out = few._replace(x=few.x[:100], y=None)
    drawn, caption = build("metric", "coverage")(subject(data, samples, held_out=held_out)).draw()
    assert "Look for" in caption
    drawn.canvas.draw()


def test_equal_laws_of_discrete_rows_reach_the_expectation_that_is_stated() -> None:
    n, m, k = 60, 60, 5
    values, with_ties = [], []
    for random in map(np.random.default_rng, range(600)):
        found = distances(random.integers(0, 2, (n, 6)).astype(float), random.integers(0, 2, (m, 6)).astype(float))
        values.append((break_ties(found).gap(k) <= 0).mean())
        with_ties.append((found.gap(k) <= 0).mean())
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected_coverage(n, m, k)) < 4 * error
    assert np.mean(with_ties) > np.mean(values) + 10 * error
