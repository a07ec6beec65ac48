"""Coverage: the share of held-out rows that have a sample in their neighbourhood."""

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist
from torch import Tensor

from ebm_cli import check, figure
from ebm_cli.data import Data
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject, binomial_se, mixed, noise_of

MOST = 2000
HALVES = 50


class Coverage:
    """coverage = (1/m) Σᵢ 1[min_j d(yᵢ, xⱼ) ≤ ρₖ(yᵢ)], ρₖ the distance to the k-th nearest other held-out row.

    Naeem et al., 2020 (arXiv 2002.09797): m held-out rows y, n samples x. Where the laws are equal a row is
    missed when its k nearest of n + m − 1 others are all held-out rows, so the expectation is

        1 − Π_{i<k} (m − 1 − i)/(n + m − 1 − i),

    given as `coverage_expected`: below it modes are missing. Samples where no data are go unseen. Distances
    are those of frechet's features, the mean over its folds; at most 2,000 rows a side. The standard error is the
    spread over 50 random halves of both sides, no less than the binomial one: 1.0 to 1.4 times the spread
    over seeds (n and m from 100 to 360, 2 and 20 columns), as held-out rows share samples and neighbours.

    neighbours: k ≥ 1.
    """

    needs_samples = True

    def __init__(self, neighbours: int) -> None:
        check.count("neighbours", neighbours)
        self.neighbours = neighbours

    def __call__(self, subject: Subject) -> Finding:
        samples, held_out = subject.pair()
        x, y, k = mixed(samples, MOST), mixed(held_out.x, MOST), self.neighbours
        n, m = len(x), len(y)
        if m < 2 * (k + 1):
            reason = f"needs at least {2 * (k + 1)} {subject.compared}, got {m}: lower metric.coverage.neighbours"
            return Finding({"coverage": refused(reason), "coverage_expected": refused(reason)})
        features = subject.features
        folds = [distances(features(fold, x), features(fold, y)) for fold in range(features.folds)]
        reach = [gap(yx, yy, k) for yx, yy in folds]
        value, se = float(np.mean([margin <= 0 for margin in reach])), half_spread(folds, k)
        se, expected = max(se, binomial_se(value * m, m)), equal_laws(n, m, k)
        caption = (
            f"{value:.1%} of {m} {subject.compared} have one of {n} samples within reach of their {k} nearest "
            f"neighbours (± {se:.1%}); equal laws give {expected:.1%}. {features.name}; {noise_of(subject)}. "
        )
        drawn, shown = picture(subject, x, y, folds, np.mean(reach, axis=0), k)
        near = f"{100 * value:.0f} % of {subject.compared} have a sample nearby ({100 * expected:.0f} % is perfect)"
        estimates = {
            "coverage": Estimate(value, se=se, meaning=near).with_caution(list(subject.remarks)),
            "coverage_expected": Estimate(expected),
        }
        return Finding(estimates, drawn, caption + shown)


def distances(
    x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]
) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "m m"]]:
    """From every held-out row to the samples, and to the held-out rows."""
    return cdist(y, x), cdist(y, y)


def gap(yx: Float[np.ndarray, "m n"], yy: Float[np.ndarray, "m m"], k: int) -> Float[np.ndarray, " m"]:
    """min_j d(yᵢ, xⱼ) − ρₖ(yᵢ): how far each ball is from holding a sample; covered where it is ≤ 0."""
    # A row's distance to itself is the least of its line, so the k-th other stands at k.
    return yx.min(1) - np.partition(yy, k, axis=1)[:, k]


def half_spread(folds: list[tuple[np.ndarray, np.ndarray]], k: int) -> float:
    """Standard deviation of coverage over random halves of both sides; the folds share their halves.

    The delete-half jackknife (Shao and Wu, 1989): a mean over half of the rows varies about that over all of them as
    much as that about the truth. Drawing with replacement would put copies of a row into its own ball.
    """
    random = np.random.default_rng(0)
    m, n = folds[0][0].shape
    values = []
    for _ in range(HALVES):
        i, j = random.permutation(m)[: m // 2], random.permutation(n)[: n // 2]
        values.append(np.mean([gap(yx[np.ix_(i, j)], yy[np.ix_(i, i)], k) <= 0 for yx, yy in folds]))
    return float(np.std(values, ddof=1))


def equal_laws(n: int, m: int, k: int) -> float:
    """1 − Π_{i<k} (m − 1 − i)/(n + m − 1 − i), the expectation for n samples of the law of the m rows."""
    i = np.arange(k)
    return float(1 - np.prod((m - 1 - i) / (n + m - 1 - i)))


def picture(
    subject: Subject, x: Tensor, y: Tensor, folds: list[tuple[np.ndarray, np.ndarray]], reach: np.ndarray, k: int
) -> tuple[Figure, str]:
    """What is not covered, and the sentence under it: points in the plane, else images, else distances."""
    assert subject.data is not None
    event, missed = tuple(subject.data.event), reach > 0
    if event == (2,):
        shown = "Good: what is not covered is few and scattered, not a region of its own."
        return plane(subject.data, x, y, missed), shown
    if figure.is_image(event) and missed.any():
        order = np.argsort(-reach)[: int(missed.sum())]
        shown = "Shown: held-out rows without a sample, the farthest first. Good: few and of no kind of their own."
        return figure.states(subject.data.decode(y[order.tolist()]), event), shown
    drawn, (axes,) = figure.new()
    ours = np.mean([yx.min(1) for yx, _ in folds], axis=0)
    theirs = np.mean([np.partition(yy, k, axis=1)[:, k] for _, yy in folds], axis=0)
    bins = np.linspace(0, max(np.quantile(ours, 0.99), np.quantile(theirs, 0.99)) * 1.05, 40).tolist()
    axes.hist(theirs, bins=bins, density=True, alpha=0.55, color=figure.BLUE, label=f"to held-out row number {k}")
    axes.hist(ours, bins=bins, density=True, histtype="step", color=figure.RED, linewidth=1.6, label="to a sample")
    axes.set(xlabel="distance of a held-out row to its neighbour", ylabel="density")
    axes.legend()
    return drawn, "Good: samples are no farther away than the neighbour whose distance is the ball's."


def plane(data: Data, x: Tensor, y: Tensor, missed: Bool[np.ndarray, " m"]) -> Figure:
    """Held-out rows, covered and not, over the samples."""
    drawn, (axes,) = figure.new(width=5.2, height=4.4)
    samples, real = data.decode(x), data.decode(y)
    for points, color, size, label in (
        (samples, "0.75", 4, "samples"),
        (real[~missed], figure.BLUE, 5, "held-out rows, covered"),
        (real[missed], figure.RED, 12, "held-out rows, not covered"),
    ):
        axes.scatter(points[:, 0], points[:, 1], s=size, color=color, linewidths=0, label=f"{label} ({len(points)})")
    left, right, bottom, top = figure.extent(real)
    axes.set(xlabel="x₁", ylabel="x₂", aspect="equal", xlim=(left, right), ylim=(bottom, top))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), fontsize=8)
    return drawn
