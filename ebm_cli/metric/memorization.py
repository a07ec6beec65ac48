"""Memorization: whether samples are closer to training rows than held-out rows are."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate, Picture, Result
from ebm_cli.metric import EvaluationContext, rows

NAME = "memorization"
CAUTION_ABOVE = 0.75
CHUNK = 500
NEEDS_FINITE = (
    "needs a finite training set, but this data set generates new samples at every draw. Set data.n=N to fix N samples"
)


class Memorization:
    """P(d_sample < d_held_out) + ½P(=), d the distance to the nearest clean training row.

    This is the Mann–Whitney statistic of the two sets of distances, in [0, 1], after Meehan, Chaudhuri and Dasgupta,
    2020 (arXiv 2004.05675). It is ½ if samples and new data are equally far from the training set, 1 if all samples are
    copies, and far below ½ if samples are far from any data. Caution above 0.75.
    """

    needs_samples = True

    def __call__(self, context: EvaluationContext) -> Result:
        (samples, held_out), train = context.vector_pair(), context.vector_training()
        if context.data is not None and not context.data.finite:
            raise InputError(NEEDS_FINITE)
        reference = rows(train.clean if train.clean is not None else train.x)
        ours, theirs = nearest(rows(samples), reference), nearest(rows(held_out.x), reference)
        value, se = probability_of_less(ours, theirs)
        reasons, name = [], context.samples_name
        if value - 2 * se > CAUTION_ABOVE:
            reasons.append(f"{name} are closer to training rows than held-out rows are (above {CAUTION_ABOVE})")
        meaning = f"{name} are closer to the training rows than new data are in {100 * value:.0f} % of cases"
        if abs(value - 0.5) <= 2 * se:
            meaning = f"{name} are no closer to training rows than new data are"
        estimate = Estimate(value, se=se, meaning=f"{meaning} (50 % is perfect, 100 % is copies)")
        return Result(
            {NAME: context.of_samples(estimate).with_caution(reasons)}, (ours, theirs, context.noise), picture
        )


def nearest(x: Float[np.ndarray, "n size"], reference: Float[np.ndarray, "m size"]) -> Float[np.ndarray, " n"]:
    """Return each row's distance to the nearest row of `reference`."""
    return np.concatenate([cdist(part, reference).min(1) for part in np.array_split(x, max(1, len(x) // CHUNK))])


def probability_of_less(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """Return P(a < b) + ½P(a = b), and its standard error by Hanley and McNeil, 1982."""
    n, m = len(a), len(b)
    value = 1 - float(mannwhitneyu(a, b).statistic) / (n * m)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (n - 1) * (q1 - value**2) + (m - 1) * (q2 - value**2)
    return value, float(np.sqrt(max(variance, 0) / (n * m)))


def picture(result: Result) -> Picture:
    """Draw both sets of distances."""
    from ebm_cli import figure

    (ours, theirs, noise), estimate = result.arrays, result.estimates[NAME]
    drawn, (axes,) = figure.new()
    figure.two_histograms(axes, theirs, ours, ("held-out rows", "samples"))
    axes.set(xlabel="distance to the nearest training row", ylabel="density")
    return drawn, (
        f"Distance of samples and of held-out rows to the nearest training row ({noise}). Memorization is "
        f"{estimate.value:.3f} ± {estimate.se:.3f}. Look for overlapping histograms and a value near 0.5."
    )
