"""Pictures of couplings between sites and of receptive fields, in two colors around white for 0."""

import math
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.data import is_image
from ebm_cli.diagnostic.couplings import SiteCouplings
from ebm_cli.estimate import Picture

COLORS = "RdBu_r"
COLUMNS = 8
# The fraction of the weights that the colors cover. A few larger ones would make all others pale.
COVERED = 0.998


def receptive_fields(weights: Float[np.ndarray, "m *event"], units: int) -> Picture:
    """Draw the weights of each unit as an image, or as a row if states are no images."""
    event = weights.shape[1:]
    limit = color_limit(weights)
    if is_image(event):
        drawn, image = tiles(weights.mean(1), limit)
        how = "as images"
    else:
        drawn, (axes,) = figure.new(width=6.4, height=min(0.6 + 0.16 * len(weights), 5.0))
        image = show(axes, weights.reshape(len(weights), -1), limit, aspect="auto")
        axes.set(xlabel="coordinate", ylabel="hidden unit")
        how = "as rows"
    add_bar(drawn, image, drawn.axes, "weight")
    return drawn, (
        f"Weights of {len(weights)} of {units} hidden units, {how}, in the order of their norms. Red weights are "
        f"positive, blue ones negative, and colors end at ±{limit:.2g}. Look for strokes and parts of the data; noise "
        "means that a unit has learned nothing."
    )


def tiles(images: Float[np.ndarray, "m height width"], limit: float) -> tuple[Figure, Any]:
    """Draw images in rows, with gaps between them, in one panel."""
    count, (height, width) = len(images), images.shape[1:]
    columns = min(COLUMNS, count)
    rows, gap = math.ceil(count / columns), max(1, height // 12)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    drawn, (axes,) = figure.new(width=5.6, height=4.9 * canvas.shape[0] / canvas.shape[1] + 0.1)
    image = show(axes, canvas, limit)
    axes.set_facecolor("0.75")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
    return drawn, image


def couplings(found: SiteCouplings) -> Picture:
    """Draw the couplings of each site with its neighbors on a lattice, otherwise the matrix of all couplings."""
    limit = color_limit(found.values)
    drawn, image, what = lattice(found, limit) if found.is_lattice else whole_matrix(found, limit)
    add_bar(drawn, image, drawn.axes, "coupling J")
    values = found.values
    return drawn, (
        f"{what}. Red: sites prefer equal values (J > 0); blue: they avoid them. {len(values)} couplings with mean "
        f"{values.mean():.3g} and root mean square {np.sqrt(np.mean(values**2)):.3g}; colors end at ±{limit:.2g}. "
        "Look for the neighborhoods that the data have."
    )


def lattice(found: SiteCouplings, limit: float) -> tuple[Figure, Any, str]:
    """Draw J between each site and its right, and its lower, neighbor."""
    rows, columns = found.shape
    drawn, panels = figure.new(2, width=7.2, height=0.4 + 3.1 * min(max(rows / columns, 0.3), 1.5))
    index, image = np.arange(rows * columns).reshape(rows, columns), None
    for axes, axis, name in zip(panels, (1, 0), ("right", "lower"), strict=True):
        values = found.matrix[index, np.roll(index, -1, axis)]
        image = show(axes, values, limit)
        axes.set(xlabel="column", ylabel="row", title=f"with the {name} neighbor")
    return drawn, image, "Couplings of each site with two of its neighbors"


def whole_matrix(found: SiteCouplings, limit: float) -> tuple[Figure, Any, str]:
    """Draw J between all sites."""
    drawn, (axes,) = figure.new(width=5.0, height=4.2)
    image = show(axes, found.matrix, limit)
    axes.set(xlabel="site", ylabel="site")
    return drawn, image, "Couplings between all sites"


def show(
    axes: Axes, values: Float[np.ndarray, "rows columns"], limit: float, aspect: Literal["equal", "auto"] = "equal"
) -> Any:
    """Draw numbers as colors between −limit and limit, without interpolation."""
    axes.grid(visible=False)
    return axes.imshow(values, cmap=COLORS, vmin=-limit, vmax=limit, interpolation="nearest", aspect=aspect)


def add_bar(drawn: Figure, image: Any, axes: list[Axes], label: str) -> None:
    """Add the scale of the colors, with pointed ends if larger numbers have the last color."""
    is_cut = bool((np.abs(image.get_array()) > image.norm.vmax).any())
    bar = drawn.colorbar(image, ax=axes, label=label, shrink=0.8, aspect=30, extend="both" if is_cut else "neither")
    bar.outline.set_visible(False)


def color_limit(values: np.ndarray) -> float:
    """Return the size that nearly all values have at most; 1 if all are 0."""
    return float(np.quantile(np.abs(values), COVERED)) or 1.0
