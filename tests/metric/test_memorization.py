"""Memorization: 1 for copies of training rows, ½ for fresh rows."""

import numpy as np
import torch

from ebm_cli.estimate import Estimate
from ebm_cli.metric.memorization import probability_of_less
from tests.contract import build
from tests.metric.subject import normal, subject


def memorization(samples: torch.Tensor) -> Estimate:
    data = build("data", "gaussian", {"n": 500, "dim": 4})
    return build("metric", "memorization")(subject(data, samples)).estimates["memorization"]


def test_copies_of_training_rows_are_found_out() -> None:
    train = build("data", "gaussian", {"n": 500, "dim": 4}).split("train").x
    found = memorization(train + 0.01 * normal(500, 4, seed=1))
    assert found.value > 0.99
    assert found.verdict == "caution" and "training rows" in found.reason


def test_fresh_rows_are_as_far_as_held_out_ones() -> None:
    found = memorization(normal(1000, 4, seed=2))
    assert found.verdict == "ok"
    assert abs(found.value - 0.5) < 4 * found.se


def test_samples_far_from_any_data_score_zero() -> None:
    found = memorization(20 + normal(200, 4, seed=3))
    assert found.value < 0.01


def test_ties_count_half() -> None:
    value, _ = probability_of_less(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert value == 0.5


def test_the_stated_error_is_the_spread_over_seeds() -> None:
    seeds = 200
    random = np.random.default_rng(4)
    values, errors = np.array([probability_of_less(random.random(80), random.random(120)) for _ in range(seeds)]).T
    # A spread over 200 seeds is known to 1/√(2·199) of itself.
    assert abs(values.std(ddof=1) / np.sqrt((errors**2).mean()) - 1) < 4 / np.sqrt(2 * (seeds - 1))
