"""The picture of a run in the plane: the density of the data, the density of the model, and chains over the energy."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from ebm_cli import figure
from ebm_cli.data import Data, KnownDensity, _angles
from ebm_cli.data._rows import available_rows
from ebm_cli.energy import space_of
from ebm_cli.estimate import Picture

GRID_POINTS = 160


def landscape(energy: nn.Module, temperature: float, data: Data | None, x: Float[np.ndarray, "n 2"]) -> Picture:
    """Draw the density of the data, if any, the model's density exp(−E/T)/Z, and the states x over E/T.

    Both densities have the same color scale. The model's density is normalized over the window. Data without a known
    density are shown by a histogram of their training samples.
    """
    finite = x[np.isfinite(x).all(1)]
    rows = available_rows(data).x.double().cpu().numpy() if data is not None else None
    shown = [part for part in (rows, finite) if part is not None and len(part)]
    is_periodic = space_of(energy) == _angles.SPACE
    box = figure.extent(shown[0], shown[1] if len(shown) > 1 else None) if shown else (-1.0, 1.0, -1.0, 1.0)
    if is_periodic:
        box = (-np.pi, np.pi, -np.pi, np.pi)
    u, v, e = figure.energy_on_grid(energy, box, GRID_POINTS)
    level = (e - np.nanmin(e)) / max(temperature, 1e-12)
    model = np.exp(-level) / (np.exp(-level).sum() * (u[1] - u[0]) * (v[1] - v[0]))
    panels = 3 if rows is not None else 2
    tall = (box[3] - box[2]) / (box[1] - box[0])
    drawn, axes = figure.new(panels, width=4.0 * panels, height=min(max(2.9 * tall, 1.2), 6.0) + 0.9)
    top = float(model.max())
    if data is not None and rows is not None:
        truth = density_of(data, rows, u, v)
        top = float(np.quantile(truth, 0.999)) or float(truth.max())
        draw_density(axes[0], u, v, truth, top, "data")
    draw_density(axes[-2], u, v, model, top, "model")
    drawn.colorbar(axes[-2].collections[0], ax=axes[:-1], label="density")
    draw_states(drawn, axes[-1], u, v, level, finite)
    columns = getattr(data, "columns", None)
    scaled = "" if is_periodic else ", scaled"
    names = [f"{column}{scaled}" for column in columns] if columns else ["x₁", "x₂"]
    for each in axes:
        each.set(xlabel=names[0], ylabel=names[1], xlim=box[:2], ylim=box[2:], aspect="equal")
        each.grid(False)
        if is_periodic:
            figure.angle_ticks(each.xaxis, each.yaxis)
    return drawn, caption(rows is not None, len(finite), temperature)


def caption(with_data: bool, states: int, temperature: float) -> str:
    """Return what is plotted and what to look for."""
    left = "Density of the data (left), density of the model (middle)" if with_data else "Density (left)"
    right = f"{states} states of chains over the energy" if states else "the energy"
    look = "two equal densities" if with_data else "wells at the expected states"
    filled = ", and points that fill the light wells by their mass" if states else ""
    return f"{left} and {right} (right), at T = {temperature:g}. Look for {look}{filled}."


def density_of(data: Data, rows: np.ndarray, u: np.ndarray, v: np.ndarray) -> Float[np.ndarray, "rows columns"]:
    """Return the data's density at the grid points: exact if it is known, otherwise from a histogram."""
    if isinstance(data, KnownDensity):
        points = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
        with torch.no_grad():
            log_p = torch.cat([data.log_prob(part) for part in torch.as_tensor(points).split(8192)])
        return log_p.exp().cpu().numpy().reshape(len(v), len(u))
    cells = GRID_POINTS // 4
    edges = [np.linspace(side[0], side[-1], cells + 1) for side in (u, v)]
    counts = np.histogram2d(rows[:, 0], rows[:, 1], bins=edges, density=True)[0].T
    return np.kron(counts, np.ones((4, 4)))


def draw_density(axes: Axes, u: np.ndarray, v: np.ndarray, density: np.ndarray, top: float, title: str) -> None:
    """Draw one density in color."""
    axes.pcolormesh(u, v, density, vmin=0, vmax=top, cmap="cividis", rasterized=True)
    axes.set_title(title)


def draw_states(
    drawn: Figure, axes: Axes, u: np.ndarray, v: np.ndarray, level: np.ndarray, x: Float[np.ndarray, "n 2"]
) -> None:
    """Draw states over contours of E/T, one contour per T above the lowest."""
    filled = figure.contours(axes, u, v, level)
    axes.scatter(x[:, 0], x[:, 1], s=7, color=figure.ORANGE, linewidths=0, alpha=0.7)
    axes.set_title("chains over the energy" if len(x) else "energy")
    drawn.colorbar(filled, ax=axes, label=f"(E − min E)/T, cut at {figure.MAX_LEVEL}")
