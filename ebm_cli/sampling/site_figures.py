"""Pictures of discrete states: lattices as images, rows of sites as lines of a raster."""

from torch import Tensor

from ebm_cli import figure
from ebm_cli.assembly.components import Parts
from ebm_cli.data._sites import Sites
from ebm_cli.energy import space_of
from ebm_cli.estimate import Picture

MAX_LATTICES, MAX_ROWS = 60, 100


def site_picture(parts: Parts, x: Tensor, which: str) -> Picture:
    """Draw the values of all sites: one image per state if sites are arranged in a plane, otherwise one line."""
    sites = Sites(space_of(parts.energy), parts.event)
    levels = sites.numbers(x).cpu().numpy() / (sites.values - 1)
    shape = [size for size in sites.shape if size > 1]
    shades = "white is the value 1" if sites.values == 2 else f"shades are the {sites.values} categories"
    caption = f"{which}, not selected, at T = {parts.sampler.temperature:g}; {shades}."
    if len(shape) == 2:
        return figure.grid(levels[:MAX_LATTICES].reshape(-1, *shape)), caption
    picture, (axes,) = figure.new()
    axes.imshow(levels[:MAX_ROWS], cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="site", ylabel="chain")
    axes.grid(visible=False)
    return picture, caption
