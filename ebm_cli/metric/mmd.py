"""Maximum mean discrepancy: a distance between two sets that needs no features."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from ebm_cli import check
from ebm_cli.estimate import Estimate, Result, all_refused
from ebm_cli.metric import EvaluationContext, rows

NAME = "mmd"
MIN_ROWS, MAX_ROWS = 3, 2000


class MMD:
    """MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y), k a Gaussian kernel; unbiased, so it may be negative.

    Gretton et al., 2012 (JMLR 13), eq. 3. Its expectation is 0 for equal distributions. The standard error is a
    jackknife over the rows of both sets. It is too large by a factor of about 1.4 for equal distributions, and
    asymptotically correct otherwise.

    width: standard deviation of the kernel, in median distances between held-out rows (> 0); in mean distances if most
    rows are equal.
    """

    needs_samples = True

    def __init__(self, width: float) -> None:
        check.positive("width", width)
        self.width = width

    def __call__(self, context: EvaluationContext) -> Result:
        samples, held_out = context.vector_pair()
        x, y = (rows(each)[:MAX_ROWS] for each in (samples, held_out.x))
        if min(len(x), len(y)) < MIN_ROWS:
            return all_refused({NAME: None}, f"needs at least {MIN_ROWS} samples. Increase samples")
        distances = cdist(y, y)
        between = distances[np.triu_indices(len(y), 1)]
        # Most rows of few discrete values can be equal.
        scale = self.width * float(np.median(between) or between.mean() or 1.0)
        value, se = mmd(kernel(cdist(x, x), scale), kernel(distances, scale), kernel(cdist(x, y), scale))
        name = context.samples_name
        meaning = f"{name} differ from data: {value / se if se else np.inf:.2g} errors above 0 (0 is perfect)"
        if value <= 2 * se:
            meaning = f"no difference between {name} and data was found (0 is perfect)"
        return Result({NAME: context.of_samples(Estimate(value, se=se, meaning=meaning))})


def kernel(distance: np.ndarray, scale: float) -> np.ndarray:
    """Return exp(−distance²/(2·scale²))."""
    return np.exp(-0.5 * (distance / scale) ** 2)


def mmd(
    xx: Float[np.ndarray, "n n"], yy: Float[np.ndarray, "m m"], xy: Float[np.ndarray, "n m"]
) -> tuple[float, float]:
    """Return the unbiased MMD² from the three kernel matrices, and its jackknife standard error."""
    n, m = xy.shape
    row_x, row_y = xx.sum(1) - np.diag(xx), yy.sum(1) - np.diag(yy)
    sum_x, sum_y, sum_xy = row_x.sum(), row_y.sum(), xy.sum()
    value = sum_x / (n * (n - 1)) + sum_y / (m * (m - 1)) - 2 * sum_xy / (n * m)
    without_x = (
        (sum_x - 2 * row_x) / ((n - 1) * (n - 2)) + sum_y / (m * (m - 1)) - 2 * (sum_xy - xy.sum(1)) / ((n - 1) * m)
    )
    without_y = (
        sum_x / (n * (n - 1)) + (sum_y - 2 * row_y) / ((m - 1) * (m - 2)) - 2 * (sum_xy - xy.sum(0)) / (n * (m - 1))
    )
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    return float(value), float(np.sqrt(variance))
