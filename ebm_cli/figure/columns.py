"""Pictures of tables and of states with many coordinates: columns and pairs of columns, compared with data."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from ebm_cli import figure
from ebm_cli.estimate import Picture

# Maximum number of columns with a marginal, and of columns that are paired.
MAX_MARGINALS, MAX_PAIRED = 12, 5
PANELS_PER_ROW = 4
MAX_POINTS = 1000


def marginals(
    names: list[str],
    samples: Float[np.ndarray, "n d"],
    data: Float[np.ndarray, "m d"] | None,
    limits: tuple[float, float] | None = None,
) -> Picture:
    """Draw a histogram of each column: data filled, samples as a line.

    limits: of every column; None for those of the values.
    """
    shown = names[:MAX_MARGINALS]
    across = min(len(shown), PANELS_PER_ROW)
    down = -(-len(shown) // across)
    drawn, panels = figure.panels(down, across, width=2.2 * across + 0.6, height=1.9 * down + 0.8)
    low, high = column_limits(samples, data, limits)
    for i, axes in enumerate(panels.flat):
        if i >= len(shown):
            axes.remove()
            continue
        draw_column(axes, samples[:, i], None if data is None else data[:, i], (float(low[i]), float(high[i])))
        axes.set(xlabel=shown[i], yticks=[])
    if data is not None:
        drawn.legend(*panels.flat[0].get_legend_handles_labels(), fontsize="small", loc="outside upper right", ncols=2)
    compared = " compared with the data" if data is not None else ""
    which = "all" if len(shown) == len(names) else f"the first {len(shown)} of {len(names)}"
    return drawn, f"Distribution of {which} columns over {len(samples)} samples{compared}. Look for equal outlines."


def column_limits(
    samples: Float[np.ndarray, "n d"], data: Float[np.ndarray, "m d"] | None, limits: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest value of each column to show."""
    if limits is None:
        return figure.window(samples if data is None else data, samples)
    return np.full(samples.shape[1], limits[0]), np.full(samples.shape[1], limits[1])


def pairs(
    names: list[str],
    samples: Float[np.ndarray, "n d"],
    data: Float[np.ndarray, "m d"] | None,
    limits: tuple[float, float] | None = None,
) -> Picture:
    """Draw columns on the diagonal and pairs of columns below it: data in gray, samples in color.

    limits: of every column; None for those of the values.
    """
    shown = names[:MAX_PAIRED]
    side = len(shown)
    drawn, panels = figure.panels(side, side, width=1.7 * side + 0.8, height=1.6 * side + 0.6)
    ends = [(float(a), float(b)) for a, b in zip(*column_limits(samples, data, limits), strict=True)]
    for row in range(side):
        for left in range(side):
            axes: Axes = panels[row, left]
            if left > row:
                axes.remove()
            elif left == row:
                draw_column(axes, samples[:, row], None if data is None else data[:, row], ends[row])
                axes.set(yticks=[])
            else:
                draw_points(axes, data, "0.5", (left, row), 0.6)
                draw_points(axes, samples, figure.BLUE, (left, row), 0.5)
                axes.set(xlim=ends[left], ylim=ends[row])
            if left <= row:
                axes.set(xlabel=shown[left] if row == side - 1 else "", ylabel=shown[row] if left == 0 < row else "")
                axes.tick_params(labelbottom=row == side - 1, labelleft=left == 0 < row, labelsize="small")
    if data is not None:
        drawn.legend(*panels[0, 0].get_legend_handles_labels(), loc="upper right")
    clouds = "Samples (blue) and data (gray)" if data is not None else "Samples"
    which = "all" if side == len(names) else f"the first {side} of {len(names)}"
    return (
        drawn,
        f"{clouds}: {which} columns and their pairs, up to {MAX_POINTS:,} points. Look for clouds of equal shape.",
    )


def draw_column(
    axes: Axes, samples: Float[np.ndarray, " n"], data: Float[np.ndarray, " m"] | None, limits: tuple[float, float]
) -> None:
    """Draw the histogram of one column within these limits."""
    bins = np.linspace(*limits, 31)
    if data is not None:
        axes.hist(data, bins=list(bins), density=True, color="0.75", label="data")
    line = {"histtype": "step", "linewidth": 1.4}
    axes.hist(samples, bins=list(bins), density=True, color=figure.BLUE, label="samples", **line)
    axes.set(xlim=limits)


def draw_points(axes: Axes, x: np.ndarray | None, color: str, which: tuple[int, int], alpha: float) -> None:
    """Draw evenly spaced points of two columns."""
    if x is not None:
        some = x[:: -(-len(x) // MAX_POINTS)]
        axes.scatter(some[:, which[0]], some[:, which[1]], s=5, color=color, alpha=alpha, linewidths=0, rasterized=True)
