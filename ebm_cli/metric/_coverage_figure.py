"""The picture of coverage: the rows that are not covered."""

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torch import Tensor

from ebm_cli import figure
from ebm_cli.data import Data, is_image
from ebm_cli.estimate import Picture


def draw(
    data: Data,
    samples: Tensor,
    rows: Tensor,
    gap: Float[np.ndarray, " m"],
    distances: dict[str, Float[np.ndarray, " m"]],
    words: str,
) -> Picture:
    """Draw points in the plane, images of uncovered rows, or histograms of distances.

    gap: distance of each row to the nearest sample minus that to the k-th neighbor; a row is covered if it is ≤ 0.
    distances: both distances, by their description.
    """
    event = tuple(data.event)
    missed = gap > 0
    if event == (2,):
        look = "Look for few and scattered uncovered rows, without a region of their own."
        return plane(data.decode(samples), data.decode(rows), missed), f"{words} {look}"
    if is_image(event) and missed.any():
        order = np.argsort(-gap)[: int(missed.sum())]
        look = "Shown: held-out rows without a sample, the farthest first. Look for few rows of no common kind."
        return figure.states(data.decode(rows[order.tolist()]), event), f"{words} {look}"
    drawn, (axes,) = figure.new()
    (to_neighbor, theirs), (to_sample, ours) = distances.items()
    figure.two_histograms(axes, theirs, ours, (to_neighbor, to_sample))
    axes.set(xlabel="distance of a held-out row to its neighbor", ylabel="density")
    return drawn, f"{words} Look for samples that are not farther away than the neighbor."


def plane(samples: np.ndarray, rows: np.ndarray, missed: Bool[np.ndarray, " m"]) -> Figure:
    """Draw held-out rows, covered and not, over the samples."""
    drawn, (axes,) = figure.new(width=5.2, height=4.4)
    for points, color, size, label in (
        (samples, "0.75", 4, "samples"),
        (rows[~missed], figure.BLUE, 5, "held-out rows, covered"),
        (rows[missed], figure.RED, 12, "held-out rows, not covered"),
    ):
        axes.scatter(points[:, 0], points[:, 1], s=size, color=color, linewidths=0, label=f"{label} ({len(points)})")
    left, right, bottom, top = figure.extent(rows)
    axes.set(xlabel="x₁", ylabel="x₂", aspect="equal", xlim=(left, right), ylim=(bottom, top))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), fontsize=8)
    return drawn
