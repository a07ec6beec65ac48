"""Free energy: the profile F(s) = −T log p(s) along one coordinate of the chains, with its errors."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy import SMOOTH, space_of
from ebm_cli.estimate import Estimate, Picture, Result, all_refused

UNITS = {"free_energy": None, "free_energy_at": None}
# Fraction of draws left out on each side of the bins, where few draws are.
TAIL = 0.001
# Number of chains that must visit a bin. Fewer give no error of its free energy.
MIN_CHAINS = 4


@dataclass(frozen=True)
class Profile:
    """The free energy in bins of a coordinate.

    edges: of all bins.
    centers, value, se: of the bins that at least four chains visit.
    """

    coordinate: int
    edges: Float[np.ndarray, " edges"]
    centers: Float[np.ndarray, " k"]
    value: Float[np.ndarray, " k"]
    se: Float[np.ndarray, " k"]


class FreeEnergy:
    """F(s) = −T log p(s), with p(s) the density of coordinate s in a bin: fraction of draws / width of the bin.

    Frenkel and Smit, 2002 (Understanding Molecular Simulation), section 7.1. By the delta method the standard error is
    T·se(p)/p, with se(p) over independent chains. exp(−F/T) is averaged over a bin. Bins
    have equal widths. They extend over the draws without 0.1 % on each side, or over the circle for angles.

    coordinate: number of the coordinate, from 0, in the flattened state (≥ 0).
    bins: number of bins (≥ 2).
    """

    spaces = SMOOTH

    def __init__(self, coordinate: int, bins: int) -> None:
        check.count("coordinate", coordinate, minimum=0)
        check.count("bins", bins, minimum=2)
        self.coordinate = coordinate
        self.bins = bins

    def __call__(self, context: ChainContext) -> Result:
        reason = context.lacks("F is not defined")
        T, chains = context.temperature, context.screened.usable
        if reason or T is None or chains is None:
            return all_refused(UNITS, reason)
        size = math.prod(chains.event)
        if self.coordinate >= size:
            raise InputError(f"coordinate must be < {size}, the number of coordinates, got {self.coordinate}")
        s = chains.flat()[:, :, self.coordinate].astype(float)
        if len(s) < MIN_CHAINS:
            return all_refused(UNITS, f"errors need at least {MIN_CHAINS} chains, got {len(s)}. Increase chains")
        found = profile(s, self._edges(s, space_of(context.energy) == "periodic"), T, self.coordinate)
        warnings = context.screened.warnings
        values = Estimate(found.value.tolist(), se=found.se.tolist(), if_not_mixed="refused").with_caution(warnings)
        centers = Estimate(found.centers.tolist()).with_caution(warnings)
        return Result({"free_energy": values, "free_energy_at": centers}, found, picture)

    def _edges(self, s: Float[np.ndarray, "chain draw"], is_periodic: bool) -> Float[np.ndarray, " edges"]:
        """Return the edges of the bins."""
        low, high = (-math.pi, math.pi) if is_periodic else np.quantile(s, [TAIL, 1 - TAIL])
        return np.linspace(low, high, self.bins + 1)


def profile(
    s: Float[np.ndarray, "chain draw"], edges: Float[np.ndarray, " edges"], temperature: float, coordinate: int
) -> Profile:
    """Return the free energy of the bins between these edges."""
    counts = np.stack([np.histogram(row, edges)[0] for row in s])
    visited = (counts > 0).sum(0) >= MIN_CHAINS
    density = counts[:, visited] / s.shape[1] / np.diff(edges)[visited]
    mean, se = density.mean(0), density.std(0, ddof=1) / len(s) ** 0.5
    centers = (edges[1:] + edges[:-1])[visited] / 2
    return Profile(coordinate, edges, centers, -temperature * np.log(mean), temperature * se / mean)


def picture(result: Result) -> Picture:
    """Draw the profile with intervals of 95 %."""
    from ebm_cli import figure

    found: Profile = result.arrays
    drawn, (axes,) = figure.new()
    half = 1.96 * found.se
    axes.plot(found.centers, found.value, color=figure.BLUE, marker="o", markersize=3)
    axes.fill_between(found.centers, found.value - half, found.value + half, color=figure.SKY, alpha=0.5)
    axes.set(xlabel=f"x[{found.coordinate}]", ylabel="F = −T log p")
    return drawn, (
        f"Free energy along coordinate {found.coordinate} in {len(found.centers)} bins, with 95 % intervals. "
        f"The lowest is {found.value.min():.3g} at {found.centers[found.value.argmin()]:.3g}. Look for intervals that "
        "are narrow compared with T, also on barriers."
    )
