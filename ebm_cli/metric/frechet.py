"""Fréchet distance between model samples and held-out rows, compared with the distance between real rows."""

import numpy as np
import torch
from jaxtyping import Float

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._features import Features
from ebm_cli.estimate import Estimate, Result, all_refused
from ebm_cli.metric import EvaluationContext, bootstrap_se

UNITS = {"frechet": None, "frechet_floor": None, "frechet_ratio": None}
# Of fewer rows, a resampling can contain copies of a single one.
MIN_ROWS = 10
SUBSETS = 21
# Samples are said to be as close as training data if their ratio with two standard errors includes 1 and ends here.
MAX_AS_CLOSE = 2.0


class Frechet:
    """d² = ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2(C₁C₂)^{1/2}) of two Gaussians fitted to features.

    Dowson and Landau, 1982; Heusel et al., 2017 for its use. Features are the whitened penultimate layer of a small
    classifier of the data set's labels; without labels, the rows themselves. There are three classifiers, each trained
    without a third of the training rows. `frechet_floor` is the same distance for real rows: the mean over 21 subsets
    of n training rows, with n the number of held-out rows, each from the third that its classifier was not trained on.
    Both distances are too large by about tr C/n per side at finite n. Their ratio, `frechet_ratio`, is 1 for samples
    as good as new real rows.

    bootstrap: resamplings for the standard error (≥ 2).
    """

    needs_samples = True

    def __init__(self, bootstrap: int) -> None:
        check.count("bootstrap", bootstrap, minimum=2)
        self.bootstrap = bootstrap

    def __call__(self, context: EvaluationContext) -> Result:
        (samples, held_out), train = context.vector_pair(), context.vector_training()
        n = len(held_out.x)
        if n < MIN_ROWS:
            return all_refused(UNITS, f"needs {MIN_ROWS} {context.held_out_name}, got {n}")
        if len(train.x) == n and torch.equal(train.x, held_out.x):
            return all_refused(UNITS, f"{context.held_out_name} are the training rows, so that there is no floor")
        features = context.features
        floors = floor(features, held_out, train, n)
        used = samples[:n]
        values, errors = [], []
        for fold in range(features.folds):
            both = [features(fold, used), features(fold, held_out.x)]
            values.append(distance(*both))
            errors.append(bootstrap_se(distance, both, seed=fold, repeats=self.bootstrap))
        value, base = float(np.mean(values)), float(np.mean(floors))
        # The folds use the same samples. Therefore their errors are averaged, not divided by √folds.
        se, base_se = float(np.mean(errors)), float(np.std(floors, ddof=1) / len(floors) ** 0.5)
        ratio = value / base
        ratio_se = ratio * ((se / value) ** 2 + (base_se / base) ** 2) ** 0.5
        reasons = []
        if len(used) < n:
            reasons.append(f"{len(used)} samples are compared with a floor of {n} rows. Increase samples to {n}")
        meaning = f"{context.samples_name} are {compared_with_training(ratio, ratio_se)} (1 is perfect)"
        of_samples = {
            "frechet": Estimate(value, se=se, meaning=f"training data reach {base:.3g}"),
            "frechet_ratio": Estimate(ratio, se=ratio_se, meaning=meaning),
        }
        compared = {name: context.of_samples(row).with_caution(reasons) for name, row in of_samples.items()}
        return Result(
            {"frechet": compared["frechet"], "frechet_floor": Estimate(base, se=base_se)} | compared,
            notes=[f"frechet: {features.name}; {n} {context.held_out_name}; {context.noise}"],
        )


def compared_with_training(ratio: float, se: float) -> str:
    """Return how far samples are from held-out data, compared with training data: only what two errors support."""
    low, high = max(ratio - 2 * se, 0.0), ratio + 2 * se
    if low > 1 or high < 1:
        return f"{ratio:.3g} times as far from held-out data as training data are"
    if high <= MAX_AS_CLOSE:
        return "as close to held-out data as training data are"
    far = f"between {low:.2g} and {high:.3g} times as far from held-out data as training data are"
    return f"{far}, as the error is too large to say more"


def distance(a: Float[np.ndarray, "n size"], b: Float[np.ndarray, "m size"]) -> float:
    """Return the Fréchet distance of Gaussians fitted to two sets of rows."""
    c1, c2 = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    eigenvalues, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c2 @ root), 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def floor(features: Features, held_out: Batch, train: Batch, n: int) -> list[float]:
    """Return distances of subsets of n training rows that the feature network was not trained on."""
    random = np.random.default_rng(0)
    values = []
    for subset in range(SUBSETS):
        fold = subset % features.folds
        others = features.held_out_rows(fold, len(train.x))
        chosen = random.choice(others, size=min(n, len(others)), replace=False)
        values.append(distance(features(fold, train.x[chosen.tolist()]), features(fold, held_out.x)))
    return values
