"""The picture of the distance to the truth: the density of the data and of the model."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ebm_cli import figure
from ebm_cli.data import _angles
from ebm_cli.energy import space_of
from ebm_cli.metric import EvaluationContext
from ebm_cli.metric._density_grid import Box, densities

# Levels of the cumulative distributions that the window contains.
LEVELS = (0.0005, 0.9995)
# The largest number of the most probable states of each side that are drawn.
MAX_POINTS = 5000


def draw(
    context: EvaluationContext, p: Float[Tensor, " cells"], q: Float[Tensor, " cells"], box: Box, size: int
) -> Figure:
    """Draw both densities: next to each other in the plane, over each other in one dimension.

    p, q: the densities of the data and of the model on a grid of `size` cells per side over `box`.
    """
    is_periodic = space_of(context.energy) == _angles.SPACE
    window = box if is_periodic else visible_window((p, q), box, size)
    p, log_q, *_ = densities(context, window, size)
    both = (p.cpu().numpy(), log_q.exp().cpu().numpy())
    if len(window) == 1:
        drawn, (axes,) = figure.new()
        x = np.linspace(*window[0], size)
        axes.plot(x, both[0], color=figure.BLUE, label="data")
        axes.plot(x, both[1], color=figure.RED, linestyle="--", label="model")
        axes.set(xlabel="x", ylabel="density")
        axes.legend()
        if is_periodic:
            figure.angle_ticks(axes.xaxis)
        return drawn
    tall = (window[1][1] - window[1][0]) / (window[0][1] - window[0][0])
    drawn, panels = figure.new(2, width=7.6, height=min(max(2.9 * tall, 1.2), 6.0) + 0.8)
    sides = [np.linspace(*side, size) for side in window]
    for axes, density, title in zip(panels, both, ("data", "model"), strict=True):
        shape = density.reshape(size, size).T
        axes.pcolormesh(*sides, shape, vmin=0, vmax=float(both[0].max()), cmap="cividis", rasterized=True)
        axes.set(title=title, xlabel="x₁", ylabel="x₂", aspect="equal")
        axes.grid(False)
        if is_periodic:
            figure.angle_ticks(axes.xaxis, axes.yaxis)
    drawn.colorbar(panels[0].collections[0], ax=panels, label="density")
    return drawn


def visible_window(densities: tuple[Float[Tensor, " cells"], Float[Tensor, " cells"]], box: Box, size: int) -> Box:
    """Return the window that contains all but 0.1 % of the data. `figure.window` widens it to show the model."""
    dims, edges = len(box), np.array(box)
    corners = []
    for density in densities:
        mass = (density / density.sum()).reshape([size] * dims)
        sides = [mass.sum([other for other in range(dims) if other != axis] or None) for axis in range(dims)]
        rising = [(side if dims > 1 else mass).cumsum(0) for side in sides]
        places = [[int(torch.searchsorted(each, level)) / size for each in rising] for level in LEVELS]
        corners.append(np.stack([edges[:, 0] + np.array(each) * (edges[:, 1] - edges[:, 0]) for each in places]))
    low, high = figure.window(*corners)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def draw_states(log_p: Float[Tensor, " states"], log_q: Float[Tensor, " states"]) -> Figure:
    """Draw the probability of each state under the model against that of the data; at most 5,000 of each side."""
    likely = [log.topk(min(len(log), MAX_POINTS)).indices for log in (log_p, log_q)]
    shown = torch.cat(likely).unique()
    both = torch.stack([log_p[shown], log_q[shown]]).exp().numpy()
    lowest = max(float(both[both > 0].min()), 1e-12)
    p, q = both.clip(lowest)
    drawn, (axes,) = figure.new(width=4.6, height=4.2)
    axes.plot([lowest, 1], [lowest, 1], color=figure.BLACK, linewidth=0.8)
    # States that are impossible for a side are at the edge.
    axes.scatter(p, q, s=10, alpha=0.6, color=figure.RED, linewidths=0)
    axes.set(xscale="log", yscale="log", xlabel="probability, data", ylabel="probability, model")
    return drawn
