"""The picture of out-of-distribution detection: ROC curves of −E, and the energies of every set."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from sklearn.metrics import roc_curve

from ebm_cli import figure
from ebm_cli.estimate import Picture
from ebm_cli.metric._separation import ranks

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DASHES = ("-", "--")


def draw(
    held_out: Float[np.ndarray, " n"], others: dict[str, Float[np.ndarray, " m"]], auroc: dict[str, float]
) -> Picture:
    """Draw ROC curves at the left and quantiles of E at the right.

    held_out, others: energies of held-out rows and of each set of other rows.
    """
    drawn, (left, right) = figure.new(2, width=9.6, height=4.2)
    colors = {at: figure.CYCLE[i % len(figure.CYCLE)] for i, at in enumerate(others)}
    for i, (at, e) in enumerate(others.items()):
        positive = np.repeat([1, 0], [len(held_out), len(e)])
        false, true, _ = roc_curve(positive, ranks(-held_out, -e))
        dashes = DASHES[i // len(figure.CYCLE) % len(DASHES)]
        left.plot(false, true, color=colors[at], linestyle=dashes, label=f"{at} ({auroc[at]:.3f})")
    left.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    left.axhline(0.95, color="0.6", linewidth=0.8, linestyle=":")
    left.set(xlabel="fraction of other rows accepted", ylabel="fraction of held-out rows accepted")
    left.legend(title="other rows (AUROC)", fontsize=8, loc="lower right")
    energies(right, held_out, others, colors)
    worst = min(auroc, key=lambda at: auroc[at])
    return drawn, (
        f"Left: ROC curves of −E for {len(held_out)} held-out rows and each set of other rows; the dotted line is at "
        "95 %. Right: 5, 25, 50, 75 and 95 % quantiles of E minus the median of held-out rows; the axis is linear "
        "within the gray band of held-out rows and logarithmic beyond. The lowest AUROC is "
        f"{auroc[worst]:.3f}, on {worst}. Look for curves at the upper left, and for sets to the right of the band."
    )


def energies(
    axes: Axes,
    held_out: Float[np.ndarray, " n"],
    others: dict[str, Float[np.ndarray, " m"]],
    colors: dict[str, str],
) -> None:
    """Draw quantiles of E per set, relative to the median of held-out rows."""
    finite = held_out[np.isfinite(held_out)]
    center = float(np.median(finite))
    inner = float(np.abs(np.quantile(finite, [QUANTILES[0], QUANTILES[-1]]) - center).max()) or 1.0
    names = ["held-out rows", *others]
    for y, e in enumerate([held_out, *others.values()]):
        if not np.isfinite(e).any():
            continue
        low, left, middle, right, high = np.quantile(e[np.isfinite(e)], QUANTILES) - center
        color = figure.BLACK if y == 0 else colors[names[y]]
        axes.plot([low, high], [y, y], color=color, linewidth=1.0)
        axes.plot([left, right], [y, y], color=color, linewidth=5.0, alpha=0.6, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=color, markersize=5)
        if y == 0:
            axes.axvspan(low, high, color="0.92", linewidth=0)
    axes.set_xscale("symlog", linthresh=inner)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="E − median E of held-out rows", ylim=(len(names) - 0.5, -0.5))
