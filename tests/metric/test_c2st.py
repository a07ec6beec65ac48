"""Classifier two-sample test: its level, its exact permutation distribution, and its power against missing mass."""

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom

from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate
from ebm_cli.metric import binomial_se, c2st
from tests.contract import build
from tests.metric.subject import normal, subject

SEEDS = 200


def found(samples: torch.Tensor, rows: int = 2000, dim: int = 2, **changes: object) -> dict[str, Estimate]:
    """Samples against `rows` draws of a standard normal."""
    data = build("data", "gaussian", {"n": 100, "dim": dim})
    held_out = data.split("held_out")._replace(x=normal(rows, dim, seed=99))
    return build("metric", "c2st")(subject(data, samples, held_out=held_out, **changes)).estimates


def test_the_p_value_is_that_of_fishers_exact_test() -> None:
    random = np.random.default_rng(0)
    label = np.repeat([1, 0], 60)
    score = random.random(120) + 0.1 * label
    called, hits = int((score > 0.5).sum()), int(((score > 0.5) & (label == 1)).sum())
    # Rows called by their label: the hits and those of the 60 others that are not called, 2·hits + 60 − called.
    assert c2st.n_correct(score, label) == 2 * hits + 60 - called
    exact = float(hypergeom(120, 60, called).sf(hits - 1))
    permutations = 2000
    p = c2st.p_value(score, label, permutations)
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / permutations) + 1 / permutations


@pytest.fixture(scope="module")
def equal_laws() -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and labels of test halves of 40 rows a side, both standard normal, by few trees for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(c2st, "TREES", 3)
        pairs = [np.random.default_rng(seed).standard_normal((2, 80, 2)) for seed in range(SEEDS)]
        return [c2st.second_half_scores(x, y) for x, y in pairs]


def test_the_p_value_of_equal_laws_is_uniform_up_to_its_steps(equal_laws: list[tuple[np.ndarray, np.ndarray]]) -> None:
    permutations = 99
    p = np.array([c2st.p_value(score, label, permutations) for score, label in equal_laws])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() < level + 4 * np.sqrt(level * (1 - level) / SEEDS)
    # A statistic of few values has E p = ½ + ½ Σ P(t)² ≤ ½ + ½ max P(t); the ones add at most 1/(permutations + 1).
    step = max(float(hypergeom(80, 40, int((score > 0.5).sum())).pmf(range(41)).max()) for score, _ in equal_laws)
    noise = 4 * np.sqrt(1 / 12 / SEEDS)
    assert 0.5 - noise < p.mean() < 0.5 + step / 2 + 1 / (permutations + 1) + noise


def test_equal_laws_are_told_apart_half_of_the_time_and_the_error_is_the_spread(
    equal_laws: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    values = np.array([c2st.n_correct(score, label) / len(label) for score, label in equal_laws])
    spread = values.std(ddof=1)
    assert abs(values.mean() - 0.5) < 4 * spread / np.sqrt(SEEDS)
    assert abs(spread / binomial_se(40, 80) - 1) < 4 / np.sqrt(2 * (SEEDS - 1))


def test_a_shift_is_told_apart_at_no_more_than_what_total_variation_allows() -> None:
    estimates = found(normal(2000, 2, seed=1) + torch.tensor([1.0, 0.0]))
    value, bound = estimates["c2st"], 0.6915  # Φ(½), what the best classifier of N(0, I) and N(e₁, I) reaches
    assert value.verdict == "ok" and estimates["c2st_p_value"].value == pytest.approx(1 / 1001)
    assert 0.6 < value.value < bound + 4 * value.se


def test_a_missing_mode_is_found() -> None:
    data = build("data", "gaussians_8")
    x = data.sample(2300, torch.Generator().manual_seed(1)).x
    angle = torch.atan2(x[:, 1], x[:, 0])
    estimates = build("metric", "c2st")(subject(data, x[angle.abs() > torch.pi / 8])).estimates
    assert estimates["c2st_p_value"].value < 0.01
    # One eighth of the mass is missing: tv = 1/8.
    assert estimates["c2st"].value < 0.5 + 1 / 16 + 4 * estimates["c2st"].se


def test_a_gaussian_fitted_to_digits_is_told_from_them() -> None:
    data = build("data", "digits")
    train = data.split("train").x.flatten(1).double()
    covariance = torch.cov(train.T) + data.noise**2 * torch.eye(64, dtype=torch.float64)
    x = train.mean(0) + normal(360, 64, seed=4).double() @ torch.linalg.cholesky(covariance).T
    estimates = build("metric", "c2st")(subject(data, x.float().view(-1, 1, 8, 8))).estimates
    assert estimates["c2st"].value > 0.8 and estimates["c2st_p_value"].value < 0.01


def test_the_score_does_not_depend_on_a_runs_seed() -> None:
    samples = normal(100, 2, seed=2)
    assert found(samples, seed=7) == found(samples, seed=0)


def test_both_sides_are_of_equal_number(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, original = [], c2st.second_half_scores
    monkeypatch.setattr(c2st, "second_half_scores", lambda x, y: seen.append((len(x), len(y))) or original(x, y))
    for samples, rows in ((50, 60), (60, 50), (51, 51)):
        found(normal(samples, 3, seed=3), rows=rows, dim=3)
    assert seen == [(50, 50), (50, 50), (51, 51)]


@pytest.mark.parametrize(("samples", "rows", "mend"), [(39, 100, "Increase samples"), (100, 39, "Hold out more")])
def test_too_few_rows_are_refused(samples: int, rows: int, mend: str) -> None:
    for estimate in found(normal(samples, 2, seed=5), rows=rows).values():
        assert estimate.verdict == "refused" and "39" in estimate.reason and mend in estimate.reason


def test_what_is_wrong_with_the_samples_is_taken_over() -> None:
    for estimate in found(normal(50, 2, seed=6), warnings=("3 chains broke",)).values():
        assert estimate.verdict == "caution" and "3 chains broke" in estimate.reason


def test_a_p_value_that_could_not_reach_one_in_twenty_is_an_input_error() -> None:
    with pytest.raises(InputError, match="permutations must be >= 19"):
        build("metric", "c2st", {"permutations": 18})
