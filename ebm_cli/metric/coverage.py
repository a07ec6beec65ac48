"""Coverage: the fraction of held-out rows with a sample in their neighborhood."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from ebm_cli import check
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.metric import EvaluationContext, binomial_se, half_sample_std, shuffled

UNITS = {"coverage": None, "coverage_expected": None}
MAX_ROWS = 2000
# Size of the random number that is added to a distance, in mean distances.
TIE = 1e-9


class Distances(NamedTuple):
    """Distances of each held-out row to the samples, and to the held-out rows."""

    to_samples: Float[np.ndarray, "m n"]
    to_rows: Float[np.ndarray, "m m"]

    def nearest_sample(self) -> Float[np.ndarray, " m"]:
        """Return the distance of each row to the nearest sample."""
        return self.to_samples.min(1)

    def radius(self, k: int) -> Float[np.ndarray, " m"]:
        """Return ρₖ, the distance to the k-th nearest other row. A row's distance to itself has place 0."""
        return np.partition(self.to_rows, k, axis=1)[:, k]

    def gap(self, k: int) -> Float[np.ndarray, " m"]:
        """Return min_j d(yᵢ, xⱼ) − ρₖ(yᵢ): a row is covered if this is ≤ 0."""
        return self.nearest_sample() - self.radius(k)


class Coverage:
    """coverage = (1/m) Σᵢ 1[min_j d(yᵢ, xⱼ) ≤ ρₖ(yᵢ)], ρₖ the distance to the k-th nearest other held-out row.

    Naeem et al., 2020 (arXiv 2002.09797): m held-out rows y, n samples x. For equal distributions a row is missed if
    its k nearest of n + m − 1 others are all held-out rows, so the expectation is

        1 − Π_{i<k} (m − 1 − i)/(n + m − 1 − i),

    reported as `coverage_expected`. A lower coverage shows that modes are missing. Samples without data near them have
    no effect. Distances are between the features that `frechet` uses, and coverage is the mean over its folds, with at
    most 2,000 rows per side. The standard error is the larger of the standard deviation over 50 random halves of both
    sides and the binomial error. It is 1.0 to 1.4 times the standard deviation over seeds (n and m from 100 to 360, 2
    and 20 columns), because held-out rows have samples and neighbors in common.

    neighbours: k (≥ 1).
    """

    needs_samples = True

    def __init__(self, neighbours: int) -> None:
        check.count("neighbours", neighbours)
        self.neighbours = neighbours

    def __call__(self, context: EvaluationContext) -> Result:
        samples, held_out = context.pair()
        x, y, k = shuffled(samples, MAX_ROWS), shuffled(held_out.x, MAX_ROWS), self.neighbours
        n, m = len(x), len(y)
        if m < 2 * (k + 1):
            few = f"needs at least {2 * (k + 1)} {context.held_out_name}, got {m}"
            return all_refused(UNITS, f"{few}. Decrease metric.coverage.neighbours")
        features, data = context.features, context.data
        both = context.vectors(x), context.vectors(y)
        folds = [distances(*(features(fold, each) for each in both)) for fold in range(features.folds)]
        if space_of(context.energy) in DISCRETE:
            folds = [break_ties(fold) for fold in folds]
        value = float(np.mean([fold.gap(k) <= 0 for fold in folds]))
        se, expected = max(std_over_halves(folds, k), binomial_se(value * m, m)), expected_coverage(n, m, k)
        near = (
            f"{100 * value:.0f} % of {context.held_out_name} have {context.samples_name} nearby "
            f"({100 * expected:.0f} % is perfect)"
        )
        estimates = {
            "coverage": context.of_samples(Estimate(value, se=se, meaning=near)),
            "coverage_expected": Estimate(expected),
        }
        words = (
            f"{value:.1%} of {m} {context.held_out_name} have a sample (of {n}) within reach of their {k} nearest "
            f"neighbors (± {se:.1%}); equal distributions give {expected:.1%}. {features.name}; {context.noise}."
        )
        assert data is not None
        distances_of_rows = {
            f"to held-out row number {k}": np.mean([fold.radius(k) for fold in folds], axis=0),
            "to a sample": np.mean([fold.nearest_sample() for fold in folds], axis=0),
        }
        gap = np.mean([fold.gap(k) for fold in folds], axis=0)
        return Result(estimates, (data, x, y, gap, distances_of_rows, words), picture)


def distances(x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]) -> Distances:
    """Return the distances of every held-out row y to samples x and to held-out rows."""
    return Distances(cdist(y, x), cdist(y, y))


def break_ties(found: Distances) -> Distances:
    """Return the distances in the same order, and in random order where they are equal; a row stays nearest to itself.

    Rows of discrete values have many distances in common. With ties, more rows are covered than `expected_coverage`.
    """
    random, unit = np.random.default_rng(0), TIE * (found.to_rows.mean() or 1.0)
    to_samples = found.to_samples + unit * random.random(found.to_samples.shape)
    to_rows = found.to_rows + unit * random.random(found.to_rows.shape) * (1 - np.eye(len(found.to_rows)))
    return Distances(to_samples, to_rows)


def std_over_halves(folds: list[Distances], k: int) -> float:
    """Return the standard deviation of coverage over random halves of both sides; all folds use the same halves."""

    def of_halves(i: np.ndarray, j: np.ndarray) -> float:
        halves = [Distances(fold.to_samples[np.ix_(i, j)], fold.to_rows[np.ix_(i, i)]) for fold in folds]
        return float(np.mean([half.gap(k) <= 0 for half in halves]))

    return float(half_sample_std(of_halves, *folds[0].to_samples.shape))


def expected_coverage(n: int, m: int, k: int) -> float:
    """Return 1 − Π_{i<k} (m − 1 − i)/(n + m − 1 − i), for n samples with the distribution of the m rows."""
    i = np.arange(k)
    return float(1 - np.prod((m - 1 - i) / (n + m - 1 - i)))


def picture(result: Result) -> Picture:
    """Draw the rows that are not covered: points in the plane, else images, else distances."""
    from ebm_cli.metric._coverage_figure import draw

    return draw(*result.arrays)
