"""MMD²: unbiased, with a correct standard error for different distributions."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ebm_cli.metric.mmd import mmd
from tests.contract import build
from tests.metric.subject import normal, subject

SEEDS, ROWS = 200, 60


def over_seeds(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """MMD² with a unit kernel and its stated errors, of N(0, I) and N(shift, I) in the plane."""
    found = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        x, y = random.standard_normal((ROWS, 2)), random.standard_normal((ROWS, 2)) + shift
        found.append(mmd(*(np.exp(-0.5 * cdist(a, b) ** 2) for a, b in ((x, x), (y, y), (x, y)))))
    values, errors = np.array(found).T
    return values, errors


def exact(shift: float) -> float:
    """MMD² itself: E k(x, y) of x − y ~ N(m, 2I) in the plane is exp(−‖m‖²/6)/3."""
    return 2 / 3 * (1 - np.exp(-2 * shift**2 / 6))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_mmd_is_unbiased(shift: float) -> None:
    values, _ = over_seeds(shift)
    assert abs(values.mean() - exact(shift)) < 4 * values.std(ddof=1) / np.sqrt(SEEDS)


def test_the_jackknife_error_is_the_spread_over_seeds_where_laws_differ() -> None:
    values, errors = over_seeds(1.0)
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(ddof=1), rel=0.25)


def test_the_jackknife_error_is_not_below_the_spread_where_laws_are_equal() -> None:
    values, errors = over_seeds(0.0)
    assert np.sqrt((errors**2).mean()) > 0.75 * values.std(ddof=1)


def test_shifted_samples_are_told_from_the_data() -> None:
    data = build("data", "gaussian", {"n": 500})
    metric = build("metric", "mmd")
    same = metric(subject(data, normal(500, 2, seed=0))).estimates["mmd"]
    shifted = metric(subject(data, normal(500, 2, seed=0) + 0.5)).estimates["mmd"]
    assert abs(same.value) < 4 * same.se
    assert shifted.value > 4 * shifted.se


def test_two_samples_give_no_error_that_is_not_a_number() -> None:
    found = build("metric", "mmd")(subject(build("data", "gaussian", {"n": 50}), normal(2, 2, seed=0)))
    assert found.estimates["mmd"].se is None or np.isfinite(found.estimates["mmd"].se)


def test_rows_that_are_mostly_equal_have_a_kernel() -> None:
    data = build("data", "patterns", {"count": 1})
    x = data.split("train").x.expand(10, -1)
    asked = subject(data, x, held_out=data.split("held_out")._replace(x=x))
    assert build("metric", "mmd")(asked).estimates["mmd"].value == pytest.approx(0, abs=1e-12)
