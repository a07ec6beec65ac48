"""Calibration: no error where a classifier is calibrated by construction, and the known error where it is not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data import Batch
from ebm_cli.metric._calibration_error import debiased_errors, equal_bins, plain_errors
from ebm_cli.metric.calibration import fitted_temperature, resampled_counts, scores_of, temperature_error
from tests.contract import build
from tests.metric.subject import subject

REPEATS = 200


class Linear(nn.Module):
    """Logits scale·x, whose energy is −log Σ exp."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.event = (3,)

    def logits(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n classes"]:
        return self.scale * x

    def forward(self, x: Tensor) -> Tensor:
        return -self.logits(x).logsumexp(1)


def gaps(off: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaps 1[correct] − confidence, P(correct) = confidence − off, and the confidence."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, n)
    return (random.random(n) < confidence - off) - confidence, confidence


def both_errors(off: float, n: int, bins: int) -> np.ndarray:
    one = np.ones((1, n), dtype=int)
    found = []
    for seed in range(REPEATS):
        gap, confidence = gaps(off, n, seed)
        rows = equal_bins(confidence, bins)
        found.append([float(errors(gap, rows, one)[0]) for errors in (debiased_errors, plain_errors)])
    return np.array(found)


def test_a_calibrated_classifier_has_no_error_on_average_and_the_plain_estimate_is_what_noise_gives() -> None:
    n, bins = 300, 15
    debiased, plain = both_errors(0.0, n, bins).T
    assert abs(debiased.mean()) < 4 * debiased.std(ddof=1) / REPEATS**0.5
    # Σ_b (n_b/n) E|N(0, v/n_b)| with v = c(1 − c) at the center of each bin, of 20 rows.
    center = 0.5 + (np.arange(bins) + 0.5) / (2 * bins)
    noise = np.sqrt(2 / np.pi * center * (1 - center) * bins / n).mean()
    assert abs(plain.mean() - noise) < 0.02 * noise + 4 * plain.std(ddof=1) / REPEATS**0.5


def test_a_known_error_is_found_by_both_estimates_of_many_rows() -> None:
    debiased, plain = both_errors(0.2, 1500, 10).T
    for found in (debiased, plain):
        assert abs(found.mean() - 0.2) < 4 * found.std(ddof=1) / REPEATS**0.5


def test_the_bootstrap_error_is_the_spread_over_repeats() -> None:
    off, n = 0.15, 600
    errors, values = [], []
    for seed in range(60):
        gap, confidence = gaps(off, n, seed)
        rows = equal_bins(confidence, 10)
        values.append(debiased_errors(gap, rows, np.ones((1, n), dtype=int))[0])
        errors.append(debiased_errors(gap, rows, resampled_counts(n, 60)).std(ddof=1))
    assert abs(np.mean(errors) / np.std(values, ddof=1) - 1) < 4 / (2 * 60) ** 0.5


def labels_of(f: np.ndarray, seed: int) -> np.ndarray:
    """Labels drawn from softmax f."""
    return (f + np.random.default_rng(seed).gumbel(size=f.shape)).argmax(1)


def test_the_softmax_temperature_is_the_factor_of_the_logits_within_its_error() -> None:
    f = 2 * np.random.default_rng(0).standard_normal((4000, 3))
    y = labels_of(f, 1)
    τ = fitted_temperature(2.5 * f, y)
    assert abs(τ - 2.5) < 4 * temperature_error(2.5 * f, y, τ)
    assert fitted_temperature(0.4 * f, y) == pytest.approx(0.16 * τ, rel=5e-3)


def test_the_error_of_the_softmax_temperature_is_the_spread_over_repeats() -> None:
    found = []
    for seed in range(60):
        f = 2 * np.random.default_rng(seed).standard_normal((300, 3))
        y = labels_of(f, seed + 1000)
        found.append((τ := fitted_temperature(f, y), temperature_error(f, y, τ)))
    values, errors = np.array(found).T
    assert abs(values.std(ddof=1) / errors.mean() - 1) < 4 / (2 * 60) ** 0.5


def test_rows_that_are_all_right_do_not_make_the_softmax_temperature_vanish() -> None:
    x = 2 * torch.randn(300, 3, generator=torch.Generator().manual_seed(4))
    held_out = Batch(x, x, x.argmax(1))
    data = build("data", "gaussian", {"dim": 3})
    rows = build("metric", "calibration")(subject(data, None, energy=Linear(1.0), held_out=held_out)).estimates
    τ = rows["softmax_temperature"]
    assert τ.verdict == "caution" and "all rows that it is fitted to are classified right" in τ.reason
    assert 0.05 < τ.value < 1 and rows["cross_entropy_scaled"].value < rows["cross_entropy"].value


def test_brier_and_cross_entropy_of_uniform_probabilities_are_exact() -> None:
    scores = scores_of(np.zeros((6, 4)), np.arange(6) % 4)
    np.testing.assert_allclose(scores.brier, 0.75**2 + 3 / 16)
    np.testing.assert_allclose(scores.log_p, -np.log(4))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_an_overconfident_classifier_is_found_and_mended_by_its_temperature(scale: float) -> None:
    x = 2 * torch.randn(3000, 3, generator=torch.Generator().manual_seed(2))
    held_out = Batch(x, x, torch.as_tensor(labels_of(x.double().numpy(), 3)))
    data = build("data", "gaussian", {"dim": 3})
    result = build("metric", "calibration")(subject(data, None, energy=Linear(scale), held_out=held_out))
    rows = result.estimates
    τ = rows["softmax_temperature"]
    assert abs(τ.value - scale) < 4 * τ.se and abs(rows["ece_scaled"].value) < 4 * rows["ece_scaled"].se
    assert rows["accuracy"].value == pytest.approx(
        scores_of(x.double().numpy(), held_out.y.numpy()).correct.mean(), abs=0.02
    )
    if scale > 1:
        assert rows["ece"].value > 0.05 and "percentage points off" in rows["ece"].meaning
        assert "overconfident" in τ.meaning and rows["brier"].value > rows["brier_scaled"].value
    else:
        assert abs(rows["ece"].value) < 4 * rows["ece"].se < rows["ece_plain"].value * 4


def test_rows_without_labels_and_few_rows_are_named() -> None:
    energy, data = Linear(1.0), build("data", "gaussian", {"dim": 3})
    with pytest.raises(InputError, match="needs labels, held-out rows have none"):
        build("metric", "calibration")(subject(data, None, energy=energy))
    few = Batch(torch.zeros(50, 3), None, torch.zeros(50, dtype=torch.long))
    with pytest.raises(InputError, match="needs 40 held-out rows in the test part, got 35"):
        build("metric", "calibration")(subject(data, None, energy=energy, held_out=few))


def test_an_energy_without_classes_gives_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "energy=quadratic", "data=gaussians_8", "metric=[calibration]"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "calibration needs an energy with classes, Quadratic has none: train with energy=classifier" in error


@pytest.mark.figures
def test_the_command_writes_its_keys_and_the_figure(here: Path) -> None:
    assert main(["evaluate", "energy=classifier", "data=gaussians_8", "metric=[calibration]", "out=o"]) == 0
    assert {"accuracy", "ece", "brier", "ece_scaled"} < set(json.loads((here / "o/metrics.json").read_text()))
    assert (here / "o/figures/calibration.png").stat().st_size > 10_000
