"""Pictures of draws given observations."""

import numpy as np
import torch
from jaxtyping import Float

from ebm_cli import figure
from ebm_cli.data import Data, is_image
from ebm_cli.estimate import Picture
from ebm_cli.sampling.completion_scores import LEVELS, Scores
from ebm_cli.sampling.conditional_chains import ConditionalDraws
from ebm_cli.sampling.picture_grid import PictureGrid

MAX_SHOWN, DRAWS_SHOWN = 10, 5


def completion_figures(
    data: Data, draws: list[ConditionalDraws], scores: list[Scores], shape: PictureGrid
) -> dict[str, Picture]:
    """Draw pictures with what was observed of them, and the coverage of intervals if true states are known.

    shape: arrangement of pictures of which only the class is known.
    """
    drawn = {}
    if is_image(data.event) and all(each.seen.y.numel() == 0 for each in draws):
        drawn["samples"] = draws_of_a_class(data, draws[0], shape)
    elif is_image(data.event):
        drawn["completions"] = picture_table(data, draws[:MAX_SHOWN])
    covered = [each.coverage for each in scores if each.coverage is not None]
    if covered:
        drawn["coverage"] = coverage_figure(np.stack(covered))
    return drawn


def draws_of_a_class(data: Data, draws: ConditionalDraws, shape: PictureGrid) -> Picture:
    """Draw states of which only the class is known."""
    x = draws.spaced(min(shape.cells, len(draws.x)))
    return figure.grid(data.decode(x), shape.columns), (
        f"{len(x)} draws of {draws.seen.name}, evenly spaced along their chains and not selected."
    )


def picture_table(data: Data, draws: list[ConditionalDraws]) -> Picture:
    """Draw one row per observation: what was observed, mean and standard deviation of the draws, draws, truth."""
    has_truth = all(each.seen.truth is not None for each in draws)
    names = ["observed", "mean", "std", *["draw"] * DRAWS_SHOWN, *(["truth"] if has_truth else [])]
    picture, axes = figure.panels(len(draws), len(names), 0.72 * len(names), 0.72 * len(draws) + 0.3)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=8)
    for line, each in zip(axes, draws, strict=True):
        states = [each.x.mean(0), *each.spaced(DRAWS_SHOWN), *([each.seen.truth] if has_truth else [])]
        shown = list(data.decode(torch.stack([state for state in states if state is not None])))
        spread = each.x.std(0).mean(0).cpu().numpy()
        cells = [observed(data, each), shown[0], spread / max(float(spread.max()), 1e-9), *shown[1:]]
        for axis, cell in zip(line, cells, strict=True):
            axis.imshow(cell, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.axis("off")
    return picture, (
        "Each row: what was observed (red: unknown), the mean and standard deviation of the draws (white: largest), "
        f"{DRAWS_SHOWN} draws, evenly spaced and not selected{', and the true picture' if has_truth else ''}. Draws "
        "should continue what was observed."
    )


def observed(data: Data, each: ConditionalDraws) -> np.ndarray:
    """Return what was observed as a picture with three channels, unknown pixels in red."""
    y, known = each.seen.y, each.seen.known
    levels = ((y + 1) / 2).clamp(0, 1).cpu().numpy() if y.dim() == 3 else np.zeros((1, 1, 1))
    if known is not None:
        levels = data.decode(torch.where(known, y, 0.0)[None])[0]
        levels = levels[None] if levels.ndim == 2 else np.moveaxis(levels, 2, 0)
    colors = np.repeat(levels, 3, axis=0) if len(levels) == 1 else levels
    colors = np.moveaxis(colors, 0, 2).copy()
    if known is not None:
        colors[~known.all(0).cpu().numpy()] = (0.75, 0.2, 0.15)
    return colors


def coverage_figure(each: Float[np.ndarray, "rows levels"]) -> Picture:
    """Draw the coverage of central intervals of the draws against their level."""
    se = each.std(0, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.zeros(len(LEVELS))
    picture, (axes,) = figure.new()
    axes.plot([0, 1], [0, 1], color=figure.BLACK, linewidth=1, label="exact")
    axes.errorbar(LEVELS, each.mean(0), yerr=se, color=figure.BLUE, marker="o", label="draws given observations")
    axes.set(xlabel="level of the central interval", ylabel="true values in the interval", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return picture, (
        f"Fraction of the unknown coordinates of {len(each)} held-out rows whose true value is in the central "
        "interval of the draws, with the standard error over rows. On the line intervals are calibrated; below it they "
        "are too narrow."
    )
