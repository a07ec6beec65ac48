"""Precision and recall: the fraction of samples that lie among data, and of data that lie among samples."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.distance import cdist
from torch import Tensor

from ebm_cli import check
from ebm_cli.estimate import Estimate, Result, all_refused, refused
from ebm_cli.metric import EvaluationContext, binomial_se, half_sample_std, rows, shuffled

NAMES = ("precision", "recall")
UNITS = {"precision": None, "precision_expected": None, "recall": None, "recall_expected": None}
MAX_ROWS = 2000
# Subsets of training rows, a multiple of the number of folds of the features.
SUBSETS = 9
# The smallest variance of a whitened direction, relative to the largest.
MIN_VARIANCE = 1e-3


class Distances(NamedTuple):
    """Distances between samples x, from samples x to held-out rows y, and between held-out rows."""

    xx: Float[np.ndarray, "n n"]
    xy: Float[np.ndarray, "n m"]
    yy: Float[np.ndarray, "m m"]

    def subset(self, i: np.ndarray, j: np.ndarray) -> "Distances":
        """Return the distances of samples i and rows j."""
        return Distances(self.xx[np.ix_(i, i)], self.xy[np.ix_(i, j)], self.yy[np.ix_(j, j)])


class PrecisionRecall:
    """precision = (1/n) Σⱼ 1[∃i: d(xⱼ, yᵢ) ≤ ρₖ(yᵢ)];  recall = (1/n) Σᵢ 1[∃j: d(yᵢ, xⱼ) ≤ ρₖ(xⱼ)].

    Kynkäänniemi et al., 2019 (arXiv 1904.06991), eq. 1: n samples x and n held-out rows y; ρₖ is the distance to the
    k-th nearest other point of the same set, so that its balls estimate the support. Low precision: samples where there
    are no data. Low recall: data where there are no samples; scattered samples have wide balls, so that recall can be
    high where precision is low. `precision_expected` and `recall_expected` are the values
    of a perfect model: the mean over 9 subsets of n training rows in place of the samples.

    Distances are between the features that `frechet` uses if these are a classifier's, otherwise between rows whitened
    by the held-out rows. Values are means over the folds of the features, with at most 2,000 rows per side; a subset of
    training rows is from the fold that its classifier was not trained on. The standard error is the larger of the
    standard deviation over 50 random halves of both sides (the delete-half jackknife of Shao and Wu, 1989) and the
    binomial error: a bootstrap would put copies of a row into its own ball.

    neighbours: k (≥ 1).
    """

    needs_samples = True

    def __init__(self, neighbours: int) -> None:
        check.count("neighbours", neighbours)
        self.neighbours = neighbours

    def __call__(self, context: EvaluationContext) -> Result:
        samples, held_out = context.vector_pair()
        n, k = min(len(samples), len(held_out.x), MAX_ROWS), self.neighbours
        needed = 2 * (k + 1)
        if n < needed:
            sizes = f"got {len(samples)} and {len(held_out.x)}"
            few = f"needs {needed} samples and {context.held_out_name}, {sizes}"
            return all_refused(UNITS, f"{few}. Decrease metric.precision_recall.neighbours")
        maps = feature_maps(context, held_out.x)
        x, y = shuffled(samples, n), shuffled(held_out.x, n)
        folds = [distances(each(x), each(y)) for each in maps]
        values = np.mean([precision_recall(fold, k) for fold in folds], axis=0)
        errors = std_over_halves(folds, k)
        expected = expected_values(context, maps, y, k)
        estimates: dict[str, Estimate] = {}
        for name, value, error, reference in zip(NAMES, values, errors, expected, strict=True):
            meaning = meaning_of(name, float(value), reference, context)
            se = max(float(error), binomial_se(value * n, n))
            estimates[name] = context.of_samples(Estimate(float(value), se=se, meaning=meaning))
            estimates[f"{name}_expected"] = reference
        kind = context.features.name if context.features.fold_of is not None else "features: whitened rows"
        note = f"precision_recall: {kind}; {n} samples and {context.held_out_name}; {context.noise}"
        return Result(estimates, notes=[note])


class FeatureMap:
    """The features of a fold: those of its classifier, or whitened rows.

    of_training: numbers of the training rows that the map is not trained on.
    """

    def __init__(self, context: EvaluationContext, fold: int, y: Tensor) -> None:
        self.features, self.fold = context.features, fold
        n_train = 0 if context.train is None else len(context.train.x)
        self.of_training = self.features.held_out_rows(fold, n_train)
        self.whitening = whitening(rows(y)) if self.features.fold_of is None else None

    def __call__(self, x: Tensor) -> Float[np.ndarray, "n size"]:
        found = self.features(self.fold, x)
        return found if self.whitening is None else found @ self.whitening


def feature_maps(context: EvaluationContext, y: Tensor) -> list[FeatureMap]:
    """Return the feature map of each fold; rows are whitened by held-out rows y."""
    return [FeatureMap(context, fold, y) for fold in range(context.features.folds)]


def whitening(y: Float[np.ndarray, "n size"]) -> Float[np.ndarray, "size size"]:
    """Return the linear map that gives rows unit covariance; small variances are set to a bound."""
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(y.T)))
    largest = variances.max()
    return axes / np.sqrt(np.maximum(variances, MIN_VARIANCE * largest if largest > 0 else 1.0))


def distances(x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]) -> Distances:
    """Return the distances within and between samples x and held-out rows y."""
    return Distances(cdist(x, x), cdist(x, y), cdist(y, y))


def precision_recall(found: Distances, k: int) -> tuple[float, float]:
    """Return precision and recall. A row's distance to itself has place 0 among its neighbors."""
    of_rows = np.partition(found.yy, k, axis=1)[:, k]
    of_samples = np.partition(found.xx, k, axis=1)[:, k]
    precision = (found.xy <= of_rows[None, :]).any(1).mean()
    recall = (found.xy <= of_samples[:, None]).any(0).mean()
    return float(precision), float(recall)


def std_over_halves(folds: list[Distances], k: int) -> Float[np.ndarray, " 2"]:
    """Return the standard deviation of both numbers over random halves of both sides, the same halves in all folds."""

    def of_halves(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.mean([precision_recall(fold.subset(i, j), k) for fold in folds], axis=0)

    return half_sample_std(of_halves, *folds[0].xy.shape)


def expected_values(context: EvaluationContext, maps: list[FeatureMap], y: Tensor, k: int) -> list[Estimate]:
    """Return precision and recall of training rows in place of samples; refused without other training rows."""
    if context.train is None:
        return [refused(context.train_missing or "the training rows are missing")] * len(NAMES)
    train = context.vector_training().x
    if context.held_out is not None and torch.equal(context.train.x, context.held_out.x):
        return [refused(f"{context.held_out_name} are the training rows, so that they show nothing")] * len(NAMES)
    if len(maps[0].of_training) < 2 * (k + 1):
        return [refused(f"needs {2 * (k + 1)} training rows, got {len(maps[0].of_training)}")] * len(NAMES)
    random, values, size = np.random.default_rng(0), [], len(y)
    for subset in range(SUBSETS):
        each = maps[subset % len(maps)]
        size = min(size, len(each.of_training))
        chosen = random.choice(each.of_training, size=size, replace=False)
        values.append(precision_recall(distances(each(train[chosen.tolist()]), each(y)), k))
    means, errors = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / SUBSETS**0.5
    few = [f"only {size} training rows are compared with {len(y)} {context.held_out_name}"] if size < len(y) else []
    return [Estimate(float(mean), se=float(se)).with_caution(few) for mean, se in zip(means, errors, strict=True)]


def meaning_of(name: str, value: float, expected: Estimate, context: EvaluationContext) -> str:
    """Return what a value means, next to that of training rows if known."""
    ours, data = context.samples_name, context.held_out_name
    words = f"{ours} lie among {data}" if name == "precision" else f"{data} lie among {ours}"
    perfect = f" ({100 * expected.value:.0f} % is perfect)" if isinstance(expected.value, float) else ""
    return f"{100 * value:.0f} % of {words}{perfect}"
