"""The picture of calibration: accuracy against confidence, before and after temperature scaling."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from ebm_cli import figure
from ebm_cli.estimate import Picture
from ebm_cli.metric import binomial_se
from ebm_cli.metric._calibration_error import equal_bins

# Confidence and correctness of each row.
Rows = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def draw(before: Rows, after: Rows, bins: int, words: str) -> Picture:
    """Draw accuracy against confidence in bins with equally many rows, and histograms of confidence."""
    drawn, (left, right) = figure.new(2, width=8.8, height=4.0)
    edges = np.linspace(min(each[0].min() for each in (before, after)), 1.0, 31)
    left.plot([edges[0], 1], [edges[0], 1], color="0.6", linewidth=0.8, label="calibrated")
    series = (("before scaling", before, figure.BLUE, "o"), ("after scaling", after, figure.RED, "s"))
    for label, (confidence, correct), color, marker in series:
        reliability(left, confidence, correct, bins, color, marker, label)
        right.hist(confidence, edges.tolist(), histtype="step", color=color, linewidth=1.6, label=label)
    left.set(xlabel="mean confidence of a bin", ylabel="accuracy of a bin", ylim=(-0.03, 1.05))
    right.set(xlabel="confidence", ylabel="rows", yscale="log")
    left.legend()
    right.legend()
    return drawn, (
        f"Left: accuracy in {bins} bins with equally many rows, with binomial standard errors. Right: confidence, the "
        f"largest class probability of each row. {words} Look for dots on the line; dots below it are overconfident."
    )


def reliability(
    axes: Axes,
    confidence: Float[np.ndarray, " n"],
    correct: Float[np.ndarray, " n"],
    bins: int,
    color: str,
    marker: str,
    label: str,
) -> None:
    """Draw the accuracy of each bin."""
    rows = equal_bins(confidence, bins)
    x, y = ([float(values[each].mean()) for each in rows] for values in (confidence, correct))
    errors = [binomial_se(float(correct[each].sum()), len(each)) for each in rows]
    axes.errorbar(x, y, errors, fmt=marker, color=color, markersize=4, linewidth=1.0, alpha=0.8, label=label)
