"""Fréchet distance: its closed form, features that depend only on the data set, and a ratio of 1 for real rows."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ebm_cli.data import Batch, Split, _features
from ebm_cli.data._features import Features, classifier_features, identity_features, train_classifier
from ebm_cli.data._rows import noisy_split
from ebm_cli.data.digits import Digits
from ebm_cli.estimate import Estimate
from ebm_cli.metric import frechet
from tests.contract import build
from tests.metric.subject import normal, subject


def rows_with(mean: np.ndarray, root: np.ndarray, seed: int, n: int = 200) -> np.ndarray:
    """Rows of exactly this mean and of covariance root·rootᵀ."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return mean + white @ root.T


def test_distance_is_the_closed_form_of_gaussians() -> None:
    s, t, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5]), np.array([1.0, -1.0, 2.0])
    a, b = rows_with(np.zeros(3), np.diag(s), seed=0), rows_with(shift, np.diag(t), seed=1)
    exact = (shift**2).sum() + ((s - t) ** 2).sum()
    assert frechet.distance(a, b) == pytest.approx(exact, rel=1e-10)


def test_distance_does_not_change_when_both_sets_are_rotated() -> None:
    random = np.random.default_rng(2)
    a, b = random.standard_normal((50, 4)) * [1, 2, 3, 4], random.standard_normal((60, 4)) + 1
    rotation = np.linalg.qr(random.standard_normal((4, 4)))[0]
    assert frechet.distance(a @ rotation, b @ rotation) == pytest.approx(frechet.distance(a, b), rel=1e-10)
    assert frechet.distance(b, a) == pytest.approx(frechet.distance(a, b), rel=1e-10)


def test_distance_of_a_set_to_itself_is_zero_even_with_fewer_rows_than_columns() -> None:
    a = np.random.default_rng(3).standard_normal((5, 12))
    assert abs(frechet.distance(a, a)) < 1e-6


class Blanked(Digits):
    """Digits of which some training rows are blank."""

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__(noise=0.15)
        train = self._splits["train"]
        x = train.x.clone()
        x[torch.as_tensor(rows)] = 0.0
        self._splits: dict[Split, Batch] = self._splits | {"train": train._replace(x=x, clean=x)}


@pytest.fixture(scope="module")
def digits() -> Digits:
    return build("data", "digits")


@pytest.fixture(scope="module")
def features(digits: Digits) -> Features:
    return classifier_features(digits)


@pytest.fixture
def trained_once(features: Features, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The features of the metric, trained once for all tests."""
    monkeypatch.setattr("ebm_cli.metric.features_of", lambda data, train: features)
    yield


def scored(digits: Digits, samples: torch.Tensor, **changes: object) -> dict[str, Estimate]:
    return build("metric", "frechet")(subject(digits, samples, **changes)).estimates


def gaussian_fit(digits: Digits, n: int) -> torch.Tensor:
    x = noisy_split(digits, "train", 0).x.flatten(1).double()
    root = torch.linalg.cholesky(torch.cov(x.T))
    return (x.mean(0) + normal(n, 64, seed=4).double() @ root.T).float().view(n, 1, 8, 8)


@pytest.mark.slow
def test_a_folds_network_did_not_see_its_fold(digits: Digits, features: Features) -> None:
    assert features.fold_of is not None
    blanked = classifier_features(Blanked(np.flatnonzero(features.fold_of == 0)))
    x = digits.split("held_out").x
    assert np.array_equal(blanked.fold_of, features.fold_of)
    assert np.array_equal(blanked(0, x), features(0, x))
    assert not np.array_equal(blanked(1, x), features(1, x))


def test_features_do_not_depend_on_torchs_global_seed(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_features, "STEPS", 20)
    seen, found = torch.arange(900), []
    for seed in (0, 12345):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            with torch.enable_grad():
                network = train_classifier(digits, digits.split("train"), seen, 0)
            found.append(network(digits.split("held_out").x))
    assert torch.equal(*found)


def test_features_are_fitted_once_for_all_metrics_of_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    monkeypatch.setattr("ebm_cli.metric.features_of", lambda *_: fitted.append(1) or identity_features())
    data = build("data", "gaussian", {"n": 100})
    asked = subject(data, data.split("train").x, held_out=Batch(normal(100, 2, seed=1)))
    for name, changes in (("frechet", {"bootstrap": 2}), ("coverage", {}), ("frechet", {"bootstrap": 3})):
        build("metric", name, changes)(asked)
    assert len(fitted) == 1


def test_folds_cover_every_training_row_once_and_evenly(features: Features) -> None:
    unseen = [features.held_out_rows(fold, 1437) for fold in range(features.folds)]
    assert sorted(np.concatenate(unseen).tolist()) == list(range(1437))
    assert max(map(len, unseen)) - min(map(len, unseen)) <= 1


def test_the_score_does_not_depend_on_a_runs_seed(digits: Digits, trained_once: None) -> None:
    samples = gaussian_fit(digits, 360)
    assert scored(digits, samples, seed=7) == scored(digits, samples, seed=0)


@pytest.mark.parametrize("split", range(2))
def test_real_rows_that_no_network_saw_score_one(digits: Digits, trained_once: None, split: int) -> None:
    held_out = noisy_split(digits, "held_out", 0)
    order = torch.randperm(360, generator=torch.Generator().manual_seed(split))
    other = Batch(held_out.x[order[180:]], y=held_out.y[order[180:]])
    found = scored(digits, held_out.x[order[:180]], held_out=other)["frechet_ratio"]
    assert found.verdict == "ok"
    assert abs(found.value - 1) < 4 * found.se
    assert found.meaning == "samples are as close to held-out data as training data are (1 is perfect)"


@pytest.mark.parametrize(
    ("ratio", "se", "words"),
    [
        (1.05, 0.1, "as close to held-out data"),
        (1.3, 0.4, "between 0.5 and 2.1 times as far"),
        (39.0, 29.0, "between 0 and 97 times as far"),
        (39.0, 2.0, "39 times as far"),
        (0.5, 0.1, "0.5 times as far"),
    ],
)
def test_samples_are_as_close_as_training_data_only_if_two_errors_support_it(
    ratio: float, se: float, words: str
) -> None:
    assert words in frechet.compared_with_training(ratio, se)


def test_a_gaussian_fitted_to_the_data_is_told_from_it(digits: Digits, trained_once: None) -> None:
    found = scored(digits, gaussian_fit(digits, 360))
    assert found["frechet_ratio"].value > 2
    ratio = found["frechet"].value / found["frechet_floor"].value
    assert found["frechet_ratio"].value == pytest.approx(ratio)


def test_fewer_samples_than_held_out_rows_are_under_caution(digits: Digits, trained_once: None) -> None:
    found = scored(digits, gaussian_fit(digits, 200))
    assert found["frechet"].verdict == found["frechet_ratio"].verdict == "caution"
    assert "360" in found["frechet"].reason


def test_what_is_wrong_with_the_samples_is_taken_over() -> None:
    data = build("data", "gaussian", {"n": 500})
    found = scored(data, normal(2000, 2, seed=5), warnings=("3 chains broke",))
    assert found["frechet"].verdict == "caution" and "3 chains broke" in found["frechet"].reason
    assert found["frechet_floor"].verdict == "ok"


@pytest.mark.parametrize(("count", "reason"), [(5, "needs 10 held-out rows, got 5"), (30, "are the training rows")])
def test_few_rows_and_rows_without_a_floor_are_refused(count: int, reason: str) -> None:
    data = build("data", "patterns", {"count": count})
    found = build("metric", "frechet")(subject(data, data.split("train").x)).estimates
    assert len(found) == 3 and all(row.value is None and reason in row.reason for row in found.values())
