"""The picture of log-likelihoods: one line per density, the best on top."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.estimate import show
from ebm_cli.metric._likelihood_rows import LikelihoodRow

# A density that is this many times the median distance below the best is drawn as an arrow. It would flatten the rest.
MAX_MEDIANS_BELOW = 6.0
LABEL_WIDTH = 34


def likelihoods(rows: Sequence[LikelihoodRow]) -> Figure:
    """Draw a filled dot for held-out rows, a hollow dot for training rows, and a bar for the bounds of log Z."""
    ordered = sorted(rows, key=lambda row: -row.held_out)
    low, high = limits(ordered)
    drawn, (axes,) = figure.new(width=7.2, height=1.15 + 0.36 * len(ordered))
    for place, row in enumerate(ordered):
        line(axes, row, place, low)
    axes.set(
        xlabel="mean log-density, nats per row (higher is better)",
        xlim=(low, high),
        ylim=(len(ordered) - 0.4, -0.6),
    )
    axes.set_yticks(range(len(ordered)), [textwrap.fill(row.words, LABEL_WIDTH) for row in ordered])
    for label, row in zip(axes.get_yticklabels(), ordered, strict=True):
        label.set(fontweight="bold" if row.model else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    numbers(axes, ordered)
    legend(drawn, axes, ordered)
    return drawn


def limits(rows: Sequence[LikelihoodRow]) -> tuple[float, float]:
    """Return limits that contain every number, except for densities far below the others."""
    best = max(row.held_out for row in rows)
    far = best - MAX_MEDIANS_BELOW * max(float(np.median([best - row.held_out for row in rows])), 1e-3)
    shown = [
        value
        for row in rows
        for value in (row.held_out - (row.se or 0), row.held_out + (row.se or 0), row.train, row.lower, row.upper)
        if value is not None and value >= far
    ]
    pad = 0.05 * (max(shown) - min(shown)) or 1.0
    return min(shown) - pad, max(shown) + pad


def line(axes: Axes, row: LikelihoodRow, place: int, low: float) -> None:
    """Draw one density's marks."""
    color = figure.RED if row.model else figure.BLUE
    axes.axhline(place, color="0.9", linewidth=0.8, zorder=0)
    if row.held_out < low:
        axes.plot([low], [place], marker="<", color=color, markersize=8, clip_on=False, linestyle="")
        return
    if row.lower is not None and row.upper is not None:
        axes.plot([row.lower, row.upper], [place] * 2, color=color, alpha=0.3, linewidth=9, solid_capstyle="butt")
    if row.train is not None:
        axes.plot([row.held_out, row.train], [place] * 2, color=color, alpha=0.45, linewidth=1.0, linestyle=":")
        axes.plot([row.train], [place], "o", markersize=6.5, markerfacecolor="white", markeredgecolor=color)
    axes.errorbar([row.held_out], [place], xerr=row.se, fmt="o", color=color, markersize=6.5, elinewidth=1.6, zorder=4)


def numbers(axes: Axes, rows: Sequence[LikelihoodRow]) -> None:
    """Write each mean, its error and the duration of the fit at the right edge."""
    timed = any(row.seconds is not None for row in rows)
    right = axes.secondary_yaxis("right")
    texts = [show(row.held_out, row.se) + (f"   {seconds(row.seconds)}" if timed else "") for row in rows]
    right.set_yticks(range(len(rows)), [text.replace("-", "−") for text in texts])
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    for label, row in zip(right.get_yticklabels(), rows, strict=True):
        label.set(fontweight="bold" if row.model else "normal", fontsize=9)


def seconds(value: float | None) -> str:
    """Return whole seconds from ten on, tenths below; empty if unknown."""
    if value is None:
        return ""
    return f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"


def legend(drawn: Figure, axes: Axes, rows: Sequence[LikelihoodRow]) -> None:
    """Draw the legend of the marks that are used."""
    gray = "0.3"
    axes.plot([], [], "o", color=gray, markersize=6.5, label="held-out rows, ± 1 standard error")
    if any(row.train is not None for row in rows):
        axes.plot([], [], "o", markerfacecolor="white", markeredgecolor=gray, markersize=6.5, label="training rows")
    if any(row.lower is not None and row.upper is not None for row in rows):
        axes.plot(
            [], [], color=gray, alpha=0.3, linewidth=9, solid_capstyle="butt", label="between the bounds of log Z"
        )
    drawn.legend(loc="outside lower center", ncols=3, fontsize=9, handletextpad=0.5)
