"""The picture of coverage: the rows that are not covered."""

import numpy as np
from jaxtyping import Bool
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.data import is_image
from ebm_cli.estimate import Picture
from ebm_cli.metric.coverage import Shown


def draw(shown: Shown) -> Picture:
    """Draw points in the plane, images of uncovered rows, or histograms of distances."""
    event = tuple(shown.data.event)
    gap = np.mean([fold.gap(shown.neighbors) for fold in shown.folds], axis=0)
    missed = gap > 0
    if event == (2,):
        look = "Look for few and scattered uncovered rows, without a region of their own."
        return plane(shown, missed), f"{shown.words} {look}"
    if is_image(event) and missed.any():
        order = np.argsort(-gap)[: int(missed.sum())]
        look = "Shown: held-out rows without a sample, the farthest first. Look for few rows of no common kind."
        return figure.states(shown.data.decode(shown.rows[order.tolist()]), event), f"{shown.words} {look}"
    look = "Look for samples that are no farther away than the neighbor."
    return by_distance(shown), f"{shown.words} {look}"


def by_distance(shown: Shown) -> Figure:
    """Draw distances of held-out rows to samples and to the k-th neighbor."""
    drawn, (axes,) = figure.new()
    ours = np.mean([fold.nearest_sample() for fold in shown.folds], axis=0)
    theirs = np.mean([fold.radius(shown.neighbors) for fold in shown.folds], axis=0)
    figure.two_histograms(axes, theirs, ours, (f"to held-out row number {shown.neighbors}", "to a sample"))
    axes.set(xlabel="distance of a held-out row to its neighbor", ylabel="density")
    return drawn


def plane(shown: Shown, missed: Bool[np.ndarray, " m"]) -> Figure:
    """Draw held-out rows, covered and not, over the samples."""
    drawn, (axes,) = figure.new(width=5.2, height=4.4)
    samples, real = shown.data.decode(shown.samples), shown.data.decode(shown.rows)
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
