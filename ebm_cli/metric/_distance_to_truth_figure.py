"""The picture of the distance to the truth: the density of the data and of the model."""

import numpy as np
import torch
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.metric.distance_to_truth import Box, Shown, densities

# Levels of the cumulative distributions that the window contains.
LEVELS = (0.0005, 0.9995)


def draw(shown: Shown) -> Figure:
    """Draw both densities, side by side in the plane, over each other on the line."""
    box = visible(shown)
    p, log_q, *_ = densities(shown.context, box, shown.size)
    both = (p.cpu().numpy(), log_q.exp().cpu().numpy())
    if len(box) == 1:
        drawn, (axes,) = figure.new()
        x = np.linspace(*box[0], shown.size)
        axes.plot(x, both[0], color=figure.BLUE, label="data")
        axes.plot(x, both[1], color=figure.RED, linestyle="--", label="model")
        axes.set(xlabel="x", ylabel="density")
        axes.legend()
        return drawn
    tall = (box[1][1] - box[1][0]) / (box[0][1] - box[0][0])
    drawn, panels = figure.new(2, width=7.6, height=min(max(2.9 * tall, 1.2), 6.0) + 0.8)
    sides = [np.linspace(*side, shown.size) for side in box]
    for axes, density, title in zip(panels, both, ("data", "model"), strict=True):
        shape = density.reshape(shown.size, shown.size).T
        axes.pcolormesh(*sides, shape, vmin=0, vmax=float(both[0].max()), cmap="cividis", rasterized=True)
        axes.set(title=title, xlabel="x₁", ylabel="x₂", aspect="equal")
        axes.grid(False)
    drawn.colorbar(panels[0].collections[0], ax=panels, label="density")
    return drawn


def visible(shown: Shown) -> Box:
    """Return the window: all but 0.1 % of the data and, as far as `figure.window` widens it, of the model."""
    size, dims = shown.size, len(shown.box)
    edges = np.array(shown.box)
    corners = []
    for density in (shown.p, shown.q):
        mass = (density / density.sum()).reshape([size] * dims)
        sides = [mass.sum([other for other in range(dims) if other != axis] or None) for axis in range(dims)]
        rising = [(side if dims > 1 else mass).cumsum(0) for side in sides]
        places = [[int(torch.searchsorted(each, level)) / size for each in rising] for level in LEVELS]
        corners.append(np.stack([edges[:, 0] + np.array(each) * (edges[:, 1] - edges[:, 0]) for each in places]))
    low, high = figure.window(*corners)
    return list(zip(low.tolist(), high.tolist(), strict=True))
