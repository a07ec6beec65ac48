"""Calibration: whether the class probabilities of a classifier energy are the frequencies with which they are right."""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data._rows import split_rows
from ebm_cli.energy._capabilities import Logits
from ebm_cli.estimate import Estimate, Picture, Result, show
from ebm_cli.metric import EvaluationContext, binomial_se
from ebm_cli.metric._calibration_error import debiased_errors, equal_bins, plain_errors
from ebm_cli.metric._classes import labeled_rows, with_classes
from ebm_cli.wells.descent import MAX_STATES_PER_CALL

MIN_ROWS = 40
# Bounds of log τ.
MAX_LOG_TEMPERATURE = 5.0
SEED = 0
SCALED = "_scaled"
DESCRIPTIONS = {
    "ece": "class probabilities are {:.1f} percentage points off on average (0 is perfect)",
    "brier": "squared error of the class probabilities (0 is perfect, 2 the largest)",
}


class Scores(NamedTuple):
    """The scores of each row: log p(label), Σ_y (p(y) − 1[y = label])², the largest p(y), and whether it is right."""

    log_p: Float[np.ndarray, " n"]
    brier: Float[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]
    correct: Float[np.ndarray, " n"]


class Calibration:
    """Accuracy, ece = E|P(correct | confidence) − confidence|, and brier = ⟨Σ_y (p(y|x) − 1[y = label])²⟩.

    p(y|x) = softmax f(x)/τ, confidence = max_y p(y|x). τ = 1 gives accuracy, ece, brier and cross_entropy; τ
    fitted to a part of the held-out rows (Guo et al., 2017, section 4.2) gives ece_scaled, brier_scaled and
    cross_entropy_scaled. All numbers are of the other held-out rows, which τ does not depend on, with the data's noise.
    `ece` has no bias for a calibrated classifier (`debiased_errors`); `ece_plain` is the usual estimate. Both have bins
    with equally many rows. Standard errors are by bootstrap over rows for fixed τ and bins.

    bins: number of bins (≥ 2).
    validation_fraction: fraction of the held-out rows to which τ is fitted (in (0, 1)).
    bootstrap: resamplings (≥ 20).
    """

    needs_samples = False

    def __init__(self, bins: int, validation_fraction: float, bootstrap: int) -> None:
        check.every(
            partial(check.count, "bins", bins, minimum=2),
            partial(check.open_interval, "validation_fraction", validation_fraction),
            partial(check.count, "bootstrap", bootstrap, minimum=20),
        )
        self.bins = bins
        self.validation_fraction = validation_fraction
        self.bootstrap = bootstrap

    def __call__(self, context: EvaluationContext) -> Result:
        energy = with_classes(context.energy)
        rows, labels = labeled_rows(context)
        test, validation = split_rows(len(rows), self.validation_fraction, SEED)
        if len(test) < max(MIN_ROWS, self.bins):
            needed = max(MIN_ROWS, self.bins)
            raise InputError(f"needs {needed} {context.held_out_name} in the test part, got {len(test)}")
        f = logits_of(energy, rows)
        τ = fitted_temperature(f[validation], labels[validation])
        τ_se = temperature_error(f[validation], labels[validation], τ)
        all_right = bool((f[validation].argmax(1) == labels[validation]).all())
        before, after = scores_of(f[test], labels[test]), scores_of(f[test] / τ, labels[test])
        counts = resampled_counts(len(test), self.bootstrap)
        right = float(before.correct.sum())
        accuracy = Estimate(right / len(test), se=binomial_se(right, len(test)))
        fitted = f"fitted to {len(validation)} {context.held_out_name}"
        estimates = {"accuracy": accuracy} | self._estimates(before, counts, "")
        estimates |= {"softmax_temperature": temperature_estimate(τ, τ_se, all_right, fitted)} | self._estimates(
            after, counts, SCALED
        )
        notes = [
            f"calibration: of {len(test)} {context.held_out_name} that the softmax temperature is not fitted to; "
            f"{context.noise}"
        ]
        arrays = ((before.confidence, before.correct), (after.confidence, after.correct), self.bins)
        return Result(estimates, arrays, picture, notes)

    def _estimates(self, scores: Scores, counts: Int[np.ndarray, "repeats n"], suffix: str) -> dict[str, Estimate]:
        """Return ece, ece_plain, brier and cross_entropy with their bootstrap errors."""
        gap, bins = scores.correct - scores.confidence, equal_bins(scores.confidence, self.bins)
        n = counts.shape[1]
        # The first row of counts is the rows themselves.
        counts = np.concatenate([np.ones((1, n), dtype=counts.dtype), counts])
        values = {
            "ece": debiased_errors(gap, bins, counts),
            "ece_plain": plain_errors(gap, bins, counts),
            "brier": counts @ scores.brier / n,
            "cross_entropy": -counts @ scores.log_p / n,
        }
        rows = {name: Estimate(float(v[0]), se=float(v[1:].std(ddof=1))) for name, v in values.items()}
        rows["ece"] = rows["ece"].with_meaning(ece_meaning(rows["ece"]))
        rows["brier"] = rows["brier"].with_meaning(DESCRIPTIONS["brier"])
        return {f"{name}{suffix}": row for name, row in rows.items()}


def ece_meaning(row: Estimate) -> str:
    """Return what a calibration error means."""
    assert isinstance(row.value, float) and isinstance(row.se, float)
    if row.value <= 2 * row.se:
        return "no difference between class probabilities and frequencies was found"
    return DESCRIPTIONS["ece"].format(100 * row.value)


def temperature_estimate(τ: float, se: float, all_right: bool, fitted: str) -> Estimate:
    """Return the softmax temperature with its meaning; a caution if the rows that it is fitted to are all right."""
    sense = "no difference from 1 was found, which is perfect"
    if abs(τ - 1) > 2 * se:
        sense = f"the classifier is {'overconfident' if τ > 1 else 'not confident enough'} there (1 is perfect)"
    row = Estimate(τ, se=se, meaning=f"{fitted}; {sense}")
    if not all_right:
        return row
    return row.with_caution(
        [
            "all rows that it is fitted to are classified right, so that only its prior keeps it from 0. Increase "
            "metric.calibration.validation_fraction"
        ]
    )


def logits_of(energy: Logits, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, "n classes"]:
    """Return f(x) of every row in double precision."""
    with torch.no_grad():
        return torch.cat([energy.logits(part) for part in x.split(MAX_STATES_PER_CALL)]).double().cpu().numpy()


def scores_of(f: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> Scores:
    """Return the scores of each row by its logits."""
    log_p, each = log_softmax(f, 1), np.arange(len(f))
    p, truth = np.exp(log_p), np.eye(f.shape[1])[labels]
    correct = (f.argmax(1) == labels).astype(float)
    return Scores(log_p[each, labels], ((p - truth) ** 2).sum(1), p.max(1), correct)


def fitted_temperature(f: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Return argmin_τ Σ −log p(label) + ½(log τ)², p = softmax f/τ, for τ in [e⁻⁵, e⁵].

    The prior log τ ~ N(0, 1) counts little for many rows. Without it, τ would be 0 if all rows are right.
    """
    found = minimize_scalar(
        lambda log_τ: log_τ**2 / 2 - scores_of(f / np.exp(log_τ), labels).log_p.sum(),
        bounds=(-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE),
        method="bounded",
    )
    return float(np.exp(found.x))


def temperature_error(f: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"], τ: float) -> float:
    """Return the standard error of τ by the sandwich formula for β = 1/τ, se log τ = √(Σ β²g²)/(Σ β²h + 1).

    g = Σ_y p(y)f(y) − f(label) and h = Var_p f are the derivatives of a row's −log p(label) by β; the prior gives 1.
    """
    p, β = np.exp(log_softmax(f / τ, 1)), 1 / τ
    mean = (p * f).sum(1)
    g, h = mean - f[np.arange(len(f)), labels], (p * f**2).sum(1) - mean**2
    return float(τ * np.sqrt(((β * g) ** 2).sum()) / ((β**2 * h).sum() + 1))


def resampled_counts(n: int, repeats: int) -> Int[np.ndarray, "repeats n"]:
    """Return how often each row occurs in each bootstrap resampling."""
    return np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), repeats)


def picture(result: Result) -> Picture:
    """Draw the reliability diagram before and after temperature scaling."""
    from ebm_cli.metric._calibration_figure import draw

    before, after = (show(row.value, row.se) for row in (result.estimates["ece"], result.estimates["ece_scaled"]))
    confidences, scaled, bins = result.arrays
    return draw(confidences, scaled, bins, f"The calibration error is {before} before and {after} after scaling.")
