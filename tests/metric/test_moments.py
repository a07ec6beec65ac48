"""Moments: exact for exact samples, at their stated chance level for equal distributions."""

import numpy as np
import pytest

from ebm_cli.estimate import Estimate
from ebm_cli.metric.moments import mean_error, std_ratio
from tests.contract import build
from tests.metric.subject import normal, subject

STD = 3.0


def estimates(scale: float, shift: float) -> dict[str, Estimate]:
    data = build("data", "gaussian", {"n": 500, "std": STD})
    return build("metric", "moments")(subject(data, shift + scale * STD * normal(1000, 2, seed=1))).estimates


def test_a_shift_is_measured_in_units_of_the_datas_spread() -> None:
    y = np.random.default_rng(0).standard_normal((40, 3))
    spread = np.sqrt(y.var(0, ddof=1).sum())
    assert mean_error(y + np.array([spread, 0, 0]), y) == pytest.approx(1.0)
    assert std_ratio(2 * y + 5, y) == pytest.approx(2.0)


def test_equal_laws_are_no_further_apart_than_chance() -> None:
    found = estimates(scale=1.0, shift=0.0)
    assert found["mean_error"].verdict == "ok" and "no more than by chance" in found["mean_error"].meaning
    assert found["std_ratio"].verdict == "ok"
    assert abs(found["std_ratio"].value - 1) < 4 * found["std_ratio"].se


def test_wrong_moments_are_found() -> None:
    found = estimates(scale=1.5, shift=2.0)
    error = 2.0 / STD  # ‖(2, 2)‖ / √(2·3²)
    assert found["mean_error"].verdict == "ok"
    assert abs(found["mean_error"].value - error) < 4 * found["mean_error"].se
    assert abs(found["std_ratio"].value - 1.5) < 4 * found["std_ratio"].se


def test_few_rows_are_refused() -> None:
    data = build("data", "patterns")
    found = build("metric", "moments")(subject(data, data.split("train").x)).estimates
    assert all(
        row.value is None and "needs 10 samples and held-out rows, got 5 and 5" in row.reason for row in found.values()
    )
