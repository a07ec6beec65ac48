"""The figure of a table of log-likelihoods: one line a density, the best on top."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.estimate import show

# Densities farther below the best than so many times the middle one are shown by an arrow: they would flatten the rest.
FAR = 6.0
WRAP = 34


@dataclass(frozen=True)
class Scored:
    """One line, in nats a row.

    words: what the density is. held_out, se: mean log-density of held-out rows and its standard error over them.
    lower, upper: what it is with the ends of log Z's bracket, None where there is none. train: of training rows.
    seconds: that fitting took, None where unknown. model: whether this is the model that the others are compared with.
    """

    words: str
    held_out: float
    se: float | None
    lower: float | None
    upper: float | None
    train: float | None
    seconds: float | None
    model: bool


def likelihoods(rows: Sequence[Scored]) -> Figure:
    """Dots of every density: held-out filled with ± 1 standard error, training hollow, log Z's bracket as a bar."""
    ordered = sorted(rows, key=lambda row: -row.held_out)
    low, high = limits(ordered)
    drawn, (axes,) = figure.new(width=7.2, height=1.15 + 0.36 * len(ordered))
    for place, row in enumerate(ordered):
        line(axes, row, place, low)
    axes.set(
        xlabel="mean log-density, nats a row (higher is better)",
        xlim=(low, high),
        ylim=(len(ordered) - 0.4, -0.6),
    )
    axes.set_yticks(range(len(ordered)), [textwrap.fill(row.words, WRAP) for row in ordered])
    for label, row in zip(axes.get_yticklabels(), ordered, strict=True):
        label.set(fontweight="bold" if row.model else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    numbers(axes, ordered)
    legend(drawn, axes, ordered)
    return drawn


def limits(rows: Sequence[Scored]) -> tuple[float, float]:
    """An axis that holds every number, but for densities that lie far below the others."""
    best = max(row.held_out for row in rows)
    far = best - FAR * max(float(np.median([best - row.held_out for row in rows])), 1e-3)
    ends = [
        value
        for row in rows
        for value in (row.held_out - (row.se or 0), row.held_out + (row.se or 0), row.train, row.lower, row.upper)
        if value is not None and value >= far
    ]
    pad = 0.05 * (max(ends) - min(ends)) or 1.0
    return min(ends) - pad, max(ends) + pad


def line(axes: Axes, row: Scored, place: int, low: float) -> None:
    """One density's marks."""
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


def numbers(axes: Axes, rows: Sequence[Scored]) -> None:
    """The numbers themselves, at the right edge."""
    timed = any(row.seconds is not None for row in rows)
    right = axes.secondary_yaxis("right")
    texts = [show(row.held_out, row.se) + (f"   {seconds(row.seconds)}" if timed else "") for row in rows]
    right.set_yticks(range(len(rows)), [text.replace("-", "−") for text in texts])
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    for label, row in zip(right.get_yticklabels(), rows, strict=True):
        label.set(fontweight="bold" if row.model else "normal", fontsize=9)


def seconds(value: float | None) -> str:
    """Whole seconds from ten on, a tenth below; nothing where unknown."""
    if value is None:
        return ""
    return f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"


def legend(drawn: Figure, axes: Axes, rows: Sequence[Scored]) -> None:
    """What the marks are, of those that are there."""
    grey = "0.3"
    axes.plot([], [], "o", color=grey, markersize=6.5, label="held-out rows, ± 1 standard error")
    if any(row.train is not None for row in rows):
        axes.plot([], [], "o", markerfacecolor="white", markeredgecolor=grey, markersize=6.5, label="training rows")
    if any(row.lower is not None and row.upper is not None for row in rows):
        axes.plot([], [], color=grey, alpha=0.3, linewidth=9, solid_capstyle="butt", label="between the ends of log Z")
    drawn.legend(loc="outside lower center", ncols=3, fontsize=9, handletextpad=0.5)
