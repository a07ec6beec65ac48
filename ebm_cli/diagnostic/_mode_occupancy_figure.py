"""The picture of mode occupancy: bars per mode, and in the plane the positions of the modes."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from ebm_cli import figure
from ebm_cli.chain.chains import evenly_spaced
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._mode_shares import ModeShares
from ebm_cli.estimate import Picture

COLORS = (figure.ORANGE, figure.GREEN)
MAX_BARS = 24
MAX_NUMBERS = 8
MAX_POINTS = 1500


def draw(found: ModeShares, missing: list[int], context: ChainContext) -> Picture:
    """Draw bars with errors, and in the plane the positions of the modes; missing modes are marked."""
    plane = found.points is not None
    drawn, axes = figure.new(1 + plane, width=9.0 if plane else 6.4, height=3.6)
    bars(axes[-1], found, missing)
    if found.points is not None:
        positions(axes[0], context, found.points[:MAX_BARS], found.numbers)
    return drawn, caption(found)


def caption(found: ModeShares) -> str:
    """Return what is plotted, the main numbers, and what to look for."""
    occupancy, se = found.occupancy, found.se
    count = min(len(occupancy), MAX_BARS, MAX_NUMBERS)
    numbers = ", ".join(f"{found.labels[k]}: {occupancy[k]:.3f} ± {se[k]:.3f}" for k in range(count))
    more = f" and {len(occupancy) - MAX_NUMBERS} more" if len(occupancy) > MAX_NUMBERS else ""
    return (
        f"Fraction of draws in each mode, with standard errors over {len(found.fractions)} independent chains "
        f"({numbers}{more}). Modes: {found.method}. Look for equal bars of each mode within their errors, and for no "
        "missing bar next to a reference."
    )


def bars(axes: Axes, found: ModeShares, missing: list[int]) -> None:
    """Draw a group of bars per mode: the chains and each reference."""
    occupancy, se = found.occupancy, found.se
    count = min(len(occupancy), MAX_BARS)
    series = [("chains", occupancy, figure.BLUE)]
    series += zip(found.references, found.references.values(), COLORS, strict=False)
    width, place = 0.8 / len(series), np.arange(count)
    for i, (label, heights, color) in enumerate(series):
        at = place + (i - (len(series) - 1) / 2) * width
        error = se[:count] if i == 0 else None
        axes.bar(at, heights[:count], width, yerr=error, color=color, label=label, error_kw={"linewidth": 1.2})
    for k in (k for k in missing if k < count):
        at = (k - (len(series) - 1) / 2 * width, occupancy[k] + se[k])
        axes.annotate("missing", at, (0, 4), textcoords="offset points", ha="center", rotation=90, fontsize=8)
    axes.set_xticks(place, found.labels[:count])
    axes.set(xlabel="class" if found.names[0].startswith("class") else "mode", ylabel="fraction of draws")
    axes.grid(False, axis="x")
    axes.legend(fontsize=9)


def positions(axes: Axes, context: ChainContext, points: Float[np.ndarray, "k 2"], numbers: list[int]) -> None:
    """Draw the modes' numbers and some draws over E/T."""
    assert context.energy is not None and context.temperature is not None
    flat = context.chains.flat()
    x = flat[np.isfinite(flat).all((1, 2))].reshape(-1, 2)
    x = x[evenly_spaced(len(x), MAX_POINTS)]
    box = figure.extent(np.concatenate([x, points, points]))
    u, v, e = figure.energy_on_grid(context.energy, box, 120)
    figure.contours(axes, u, v, (e - e.min()) / context.temperature)
    axes.scatter(x[:, 0], x[:, 1], s=4, color=figure.SKY, linewidths=0, alpha=0.5)
    for number, (x1, x2) in zip(numbers, points, strict=False):
        circle = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": figure.BLACK, "linewidth": 0.8}
        axes.text(x1, x2, str(number), ha="center", va="center", fontsize=8, bbox=circle)
    axes.set(xlabel="x₁", ylabel="x₂", xlim=box[:2], ylim=box[2:], title="modes and draws over E/T")
    axes.grid(False)
