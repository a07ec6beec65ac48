"""How well a score separates two sets of rows: AUROC, AUPR and the false-positive rate at 95 % true positives."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

# The true-positive rate at which the false-positive rate is given.
TRUE_POSITIVE_RATE = 0.95


class Separation(NamedTuple):
    """How well a score separates held-out rows (positive) from other rows.

    auroc: P(score of a held-out row > score of another row) + ½P(=), the area under the ROC curve.
    aupr: Σ (Rᵢ − Rᵢ₋₁)Pᵢ over thresholds, the average precision.
    fpr95: the fraction of other rows that the threshold accepts which accepts 95 % of the held-out rows.
    """

    auroc: float
    aupr: float
    fpr95: float


def separation(held_out: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"]) -> Separation:
    """Return how well high scores find the held-out rows."""
    scores, positive = ranks(held_out, other), np.repeat([1, 0], [len(held_out), len(other)])
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    fpr95 = float(false[np.argmax(true >= TRUE_POSITIVE_RATE)])
    return Separation(float(roc_auc_score(positive, scores)), float(average_precision_score(positive, scores)), fpr95)


def ranks(held_out: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"]) -> Float[np.ndarray, " rows"]:
    """Return the ranks of all scores. A score that is not a number counts as lower than all others."""
    both = np.concatenate([held_out, other])
    return rankdata(np.where(np.isnan(both), -np.inf, both))


def bootstrap(
    held_out: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"], seed: int, repeats: int
) -> Float[np.ndarray, "repeats 3"]:
    """Return the three numbers of resamplings of both sets of rows; the same rows for the same seed and sizes."""
    random = np.random.default_rng(seed)
    counts = [random.multinomial(len(each), np.full(len(each), 1 / len(each)), repeats) for each in (held_out, other)]
    return weighted_separations(held_out, other, counts[0], counts[1])


def weighted_separations(
    held_out: Float[np.ndarray, " n"],
    other: Float[np.ndarray, " m"],
    held_out_counts: Int[np.ndarray, "repeats n"],
    other_counts: Int[np.ndarray, "repeats m"],
) -> Float[np.ndarray, "repeats 3"]:
    """Return the three numbers if each row occurs as often as `counts` says, for every row of counts."""
    scores = ranks(held_out, other)
    order = np.argsort(-scores, kind="stable")
    # The last row of each group of equal scores: a threshold accepts all of them.
    last = np.append(np.diff(scores[order]) != 0, True)
    blank = np.zeros_like
    true = np.concatenate([held_out_counts, blank(other_counts)], 1)[:, order].cumsum(1)[:, last]
    false = np.concatenate([blank(held_out_counts), other_counts], 1)[:, order].cumsum(1)[:, last]
    tpr, fpr = true / len(held_out), false / len(other)
    step = np.diff(fpr, axis=1, prepend=0.0)
    auroc = (step * (tpr - np.diff(tpr, axis=1, prepend=0.0) / 2)).sum(1)
    precision = true / np.maximum(true + false, 1)
    aupr = (np.diff(tpr, axis=1, prepend=0.0) * precision).sum(1)
    fpr95 = np.take_along_axis(fpr, (tpr >= TRUE_POSITIVE_RATE).argmax(1)[:, None], 1)[:, 0]
    return np.stack([auroc, aupr, fpr95], 1)
