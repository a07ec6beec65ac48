"""The picture of spurious attractors: as images, or by energy and overlap with the data."""

import numpy as np
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.data import is_image
from ebm_cli.diagnostic._spurious_attractors import Attractors
from ebm_cli.estimate import Picture

MAX_IMAGES = 6
# Area of the mark of an attractor that all random states reach, and the smallest area, in square points.
LARGEST, SMALLEST = 2000, 8


def draw_attractors(found: Attractors) -> Picture:
    """Draw the heaviest attractors as images where the data are images, otherwise all of them as points."""
    listed = "; ".join(found.describe(k) for k in found.heaviest(3))
    count, starts = int(found.is_spurious.sum()), int(found.count.sum())
    caption = (
        f"{count} spurious attractors among the {len(found.count)} fixed points that {starts:,} random states lead to, "
        f"those with an overlap below {found.bound:.2f} with all data rows. {found.fraction:.1%} of random states lead "
        f"to them{': ' if listed else ''}{listed}. Look for none."
    )
    if count and is_image(found.data.event):
        return images(found), f"The spurious attractors that most random states lead to. {caption}"
    return by_overlap(found), f"Fixed points by E and overlap; areas are fractions of random states. {caption}"


def images(found: Attractors) -> Figure:
    """Draw the spurious attractors that most random states lead to."""
    chosen = found.heaviest(MAX_IMAGES)
    pictures = found.data.decode(found.x[chosen])
    drawn, panels = figure.new(len(chosen), width=max(1.7 * len(chosen), 3.0), height=2.2)
    for axes, image, k in zip(panels, pictures, chosen, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(f"E = {found.energy[k]:.3g}, {found.count[k] / found.count.sum():.1%}", fontsize=8)
        axes.axis("off")
    return drawn


def by_overlap(found: Attractors) -> Figure:
    """Draw E of each fixed point over its largest overlap with a data row."""
    drawn, (axes,) = figure.new()
    area = np.maximum(LARGEST * found.count / found.count.sum(), SMALLEST)
    spurious = found.is_spurious
    for chosen, color, label in ((~spurious, figure.BLUE, "at the data"), (spurious, figure.RED, "spurious")):
        style = {"color": color, "alpha": 0.4, "linewidths": 0}
        axes.scatter(found.overlap[chosen], found.energy[chosen], s=area[chosen].tolist(), **style)
        axes.scatter([], [], s=40, label=f"{label}: {int(chosen.sum())}", **style)
    axes.axvline(found.bound, color=figure.GREEN, linestyle="--", label=f"at the data from {found.bound:.2f} on")
    axes.set(xlabel="largest overlap with a data row", ylabel="energy E")
    axes.margins(0.12)
    axes.legend()
    return drawn
