"""Precision and recall: a count by hand, equal distributions, missing and invented modes, and the stated error."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.data import Batch
from ebm_cli.data._features import Features
from ebm_cli.estimate import Estimate
from ebm_cli.metric.precision_recall import distances, precision_recall, std_over_halves, whitening
from tests.contract import build
from tests.metric.subject import normal, subject

SEEDS = 100
HALF = 4


def modes(n: int, count: int, seed: int) -> Tensor:
    """Rows near `count` of eight points on a circle."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.randint(count, (n,), generator=generator) * np.pi / 4
    return torch.stack([angle.cos(), angle.sin()], 1) * 5 + 0.3 * torch.randn(n, 2, generator=generator)


def found(samples: Tensor, held_out: Tensor, train: Tensor, **changes: object) -> dict[str, Estimate]:
    data = build("data", "gaussian", {"n": 100})
    asked = subject(data, samples, held_out=Batch(held_out), train=Batch(train), **changes)
    return build("metric", "precision_recall")(asked).estimates


@pytest.mark.parametrize("k", [1, 3])
def test_values_are_counts_of_points_in_balls(k: int) -> None:
    random = np.random.default_rng(k)
    x, y = random.standard_normal((8, 3)), random.standard_normal((9, 3))

    def inside(points: np.ndarray, centers: np.ndarray) -> float:
        radii = [sorted(np.linalg.norm(c - o) for o in centers if o is not c)[k] for c in list(centers)]
        return np.mean([any(np.linalg.norm(p - c) <= r for c, r in zip(centers, radii, strict=True)) for p in points])

    assert precision_recall(distances(x, y), k) == pytest.approx((inside(x, y), inside(y, x)))


def test_equal_distributions_have_the_values_of_training_rows() -> None:
    rows = found(*(modes(400, 8, seed) for seed in (1, 2, 3)))
    for name in ("precision", "recall"):
        error = np.hypot(rows[name].se, rows[f"{name}_expected"].se)
        assert abs(rows[name].value - rows[f"{name}_expected"].value) < 4 * error
        assert rows[name].verdict == "ok" and "% is perfect" in rows[name].meaning
    assert abs(rows["precision"].value - rows["recall"].value) < 4 * np.hypot(rows["precision"].se, rows["recall"].se)


def test_model_without_half_of_the_modes_has_half_the_recall() -> None:
    rows = found(modes(400, HALF, 1), modes(400, 8, 2), modes(400, 8, 3))
    precision, recall = rows["precision"], rows["recall"]
    assert abs(recall.value - 0.5 * rows["recall_expected"].value) < 4 * recall.se
    assert abs(precision.value - rows["precision_expected"].value) < 4 * precision.se


def test_model_with_twice_the_modes_has_half_the_precision() -> None:
    rows = found(modes(400, 8, 1), modes(400, HALF, 2), modes(400, HALF, 3))
    precision, recall = rows["precision"], rows["recall"]
    assert abs(precision.value - 0.5 * rows["precision_expected"].value) < 4 * precision.se
    assert abs(recall.value - rows["recall_expected"].value) < 4 * recall.se


@pytest.mark.parametrize(("n", "k", "dim", "shift"), [(80, 3, 2, 0.0), (60, 1, 10, 0.5)])
def test_stated_error_is_the_standard_deviation_over_seeds_or_up_to_1_6_times_it(
    n: int, k: int, dim: int, shift: float
) -> None:
    values, errors = [], []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        both = distances(random.standard_normal((n, dim)) + shift, random.standard_normal((n, dim)))
        values.append(precision_recall(both, k))
        errors.append(std_over_halves([both], k))
    ratio = np.sqrt(np.square(errors).mean(0)) / np.std(values, axis=0, ddof=1)
    noise = 1 / np.sqrt(2 * (SEEDS - 1))
    assert (ratio > 1 - 4 * noise).all() and (ratio < 1.6 * (1 + 4 * noise)).all()


def test_whitened_rows_have_unit_covariance_and_constant_columns_are_harmless() -> None:
    y = normal(500, 3, seed=0).double().numpy() @ np.array([[5.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    assert np.cov((y @ whitening(y)).T) == pytest.approx(np.eye(3), abs=1e-9)
    assert np.isfinite(whitening(np.ones((5, 3)))).all()


def test_training_rows_come_from_the_fold_that_the_classifier_was_not_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, seen = modes(90, 8, 1), []
    fold_of = np.arange(90) % 2
    networks = [lambda x, fold=fold: (seen.append((fold, x)), x)[1] for fold in range(2)]
    monkeypatch.setattr("ebm_cli.metric.features_of", lambda *_: Features("own", networks, fold_of))
    found(modes(30, 8, 2), modes(30, 8, 3), x)
    for fold in range(2):
        others = {tuple(row) for row in x[fold_of != fold].tolist()}
        assert not any(tuple(row) in others for which, rows in seen if which == fold for row in rows.tolist())


def test_what_has_no_reference_is_refused_and_the_rest_is_given() -> None:
    x, y = modes(50, 8, 1), modes(50, 8, 2)
    same, missing = (
        found(x, y, y),
        build("metric", "precision_recall")(
            subject(build("data", "gaussian"), x, held_out=Batch(y), train=None, train_missing="no such file")
        ).estimates,
    )
    assert "are the training rows" in same["precision_expected"].reason and same["precision"].verdict == "ok"
    assert missing["recall_expected"].reason == "no such file" and missing["recall"].verdict == "ok"
    assert found(x, y, modes(20, 8, 3))["recall_expected"].verdict == "caution"
    few = found(x, y[:7], x)
    assert len(few) == 4 and all("needs 8 samples and held-out rows, got 50 and 7" in r.reason for r in few.values())


def test_warnings_of_the_samples_are_taken_over() -> None:
    rows = found(*(modes(50, 8, seed) for seed in range(3)), warnings=("3 chains broke",))
    assert rows["precision"].verdict == rows["recall"].verdict == "caution"
    assert rows["precision_expected"].verdict == "ok"
