"""Pictures of discrete states and of angles: lattices as images, rows of sites as lines of a raster."""

import numpy as np
from torch import Tensor

from ebm_cli import figure
from ebm_cli.assembly.components import Parts
from ebm_cli.data import _angles
from ebm_cli.data._sites import Sites
from ebm_cli.energy import space_of
from ebm_cli.estimate import Picture

MAX_LATTICES, MAX_ROWS = 60, 100


def site_picture(parts: Parts, x: Tensor, which: str) -> Picture:
    """Draw the values of all sites: one image per state if sites are arranged in a plane, otherwise one line."""
    levels, sides, shades = site_levels(parts, x)
    colors = "twilight" if space_of(parts.energy) == _angles.SPACE else "gray"
    shape = [size for size in sides if size > 1]
    caption = f"{which}, not selected, at T = {parts.sampler.temperature:g}; {shades}."
    if len(shape) == 2:
        return figure.grid(levels[:MAX_LATTICES].reshape(-1, *shape), colors=colors), caption
    picture, (axes,) = figure.new()
    axes.imshow(levels[:MAX_ROWS], cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="site", ylabel="chain")
    axes.grid(visible=False)
    return picture, caption


def site_levels(parts: Parts, x: Tensor) -> tuple[np.ndarray, tuple[int, ...], str]:
    """Return the value of each site between 0 and 1, the shape of the sites, and what the shades are."""
    space = space_of(parts.energy)
    if space == _angles.SPACE:
        turns = _angles.wrap(x).flatten(1).double().cpu().numpy() / _angles.PERIOD + 0.5
        return turns, parts.event, "colors are directions around the circle, white at ±π and dark at 0"
    sites = Sites(space, parts.event)
    shades = "white is the value 1" if sites.values == 2 else f"shades are the {sites.values} categories"
    return sites.numbers(x).cpu().numpy() / (sites.values - 1), sites.shape, shades
