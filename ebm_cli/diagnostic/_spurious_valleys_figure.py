"""The picture of spurious valleys: in the plane, as images, or by energy and distance to the data."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ebm_cli import figure
from ebm_cli.chain.chains import evenly_spaced
from ebm_cli.data import is_image
from ebm_cli.diagnostic._valley_mass import MAX_LISTED, ValleySummary
from ebm_cli.estimate import Picture
from ebm_cli.wells.descent import distances, values

MAX_IMAGES = 6
MAX_STATES = 2000


def draw(shown: ValleySummary) -> Picture:
    """Draw what the data's shape allows."""
    labels = [f"E = {valley.energy:.3g}, {valley.mass:.1%}" for valley in shown.valleys]
    if shown.data.event == (2,):
        return plane(shown, labels), caption(shown, "Crosses: valleys; contours: E/T.")
    if shown.valleys and is_image(shown.data.event):
        return images(shown, labels), caption(shown, "Shown: the lowest state of each.")
    what = "Shown: states after annealing to T, by their distance to the nearest data row."
    return by_distance(shown, labels), caption(shown, what)


def caption(shown: ValleySummary, what: str) -> str:
    """Return what is plotted, the main numbers, and what to look for."""
    listed = "; ".join(valley.describe() for valley in shown.valleys[:MAX_LISTED])
    return (
        f"{shown.count} without data among the minima that {shown.starts:,} points far and near and the chains descend "
        f"to{': ' if listed else ''}{listed}. {shown.first:.1%} of the chains' first draws and {shown.last:.1%} of "
        f"their last descend into these valleys. {what} Look for none."
    )


def images(shown: ValleySummary, labels: list[str]) -> Figure:
    """Draw the lowest state of each valley."""
    pictures = shown.data.decode(torch.stack([valley.x for valley in shown.valleys[:MAX_IMAGES]]))
    drawn, panels = figure.new(len(pictures), width=max(1.7 * len(pictures), 3.0), height=2.2)
    for axes, image, label in zip(panels, pictures, labels, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(label, fontsize=8)
        axes.axis("off")
    return drawn


def by_distance(shown: ValleySummary, labels: list[str]) -> Figure:
    """Draw E/T over the distance to the nearest data row."""
    drawn, (axes,) = figure.new()
    states = shown.found.states[evenly_spaced(len(shown.found.states), MAX_STATES)]
    dots: Any = {"s": 6, "linewidths": 0, "alpha": 0.5}
    points(axes, shown, shown.rows, {"color": figure.BLUE, "label": "data rows"} | dots)
    points(axes, shown, states, {"color": "0.45", "label": "annealed states"} | dots)
    for valley, label in zip(shown.valleys, labels, strict=True):
        crosses = {"s": 10, "color": figure.RED, "marker": "x", "linewidths": 0.8, "label": f"valley: {label}"}
        points(axes, shown, valley.draws, crosses)
    axes.set(xlabel="distance to the nearest data row", ylabel="E/T")
    axes.legend(fontsize=8)
    return drawn


def points(axes: Axes, shown: ValleySummary, x: Float[Tensor, "n *event"], style: dict[str, Any]) -> None:
    """Draw states by their distance to the nearest other row, and E/T."""
    nearest = distances(x, shown.rows)
    nearest = nearest.masked_fill(nearest == 0, math.inf).min(1).values
    axes.scatter(nearest.cpu(), values(shown.energy, x).cpu() / shown.temperature, **style)


def plane(shown: ValleySummary, labels: list[str]) -> Figure:
    """Draw valleys and data rows over contours of E/T, one contour per T above the lowest."""
    rows = shown.rows.double().cpu().numpy()
    draws = [valley.draws.double().cpu().numpy() for valley in shown.valleys]
    box = figure.extent(rows, np.concatenate([rows, *draws]))
    tall = (box[3] - box[2]) / (box[1] - box[0])
    drawn, (axes,) = figure.new(width=5.8, height=min(max(4.4 * tall, 1.8), 6.0) + 0.7)
    u, v, e = figure.energy_on_grid(shown.energy, box, 160)
    filled = figure.contours(axes, u, v, (e - e.min()) / shown.temperature)
    axes.scatter(rows[:, 0], rows[:, 1], s=3, color=figure.BLUE, linewidths=0, alpha=0.4, label="data rows")
    text: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": figure.BLACK}
    text["bbox"] = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    for valley, label in zip(shown.valleys, labels, strict=True):
        x = (float(valley.x[0]), float(valley.x[1]))
        axes.plot(*x, "x", color=figure.RED, markersize=9, markeredgewidth=2)
        axes.annotate(label, x, (0, 10), **text)
    axes.set(xlabel="x₁", ylabel="x₂", xlim=box[:2], ylim=box[2:], aspect="equal")
    axes.grid(False)
    axes.legend(loc="upper right", fontsize=8, markerscale=2)
    drawn.colorbar(filled, ax=axes, label=f"(E − min E)/T, cut at {figure.MAX_LEVEL}")
    return drawn
