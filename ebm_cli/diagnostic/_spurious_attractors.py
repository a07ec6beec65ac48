"""Spurious attractors: fixed points of discrete states that are far from every data row."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.chain.quantities import mean_over_chains
from ebm_cli.data import Data
from ebm_cli.data._rows import available_rows
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic._fixed_points import find_fixed_points
from ebm_cli.energy import space_of
from ebm_cli.estimate import Estimate
from ebm_cli.rng import generator
from ebm_cli.wells.descent import states_of, values
from ebm_cli.wells.site_descent import overlaps

MAX_ROWS, MAX_DRAWS = 2000, 20
# An attractor is at the data if its overlap with a row is as large as this, or as that of most held-out rows.
MIN_OVERLAP, HELD_OUT_QUANTILE = 0.95, 0.05
# Number of attractors that the terminal describes.
MAX_LISTED = 3


@dataclass(frozen=True)
class Attractors:
    """The fixed points that random states descend to, and how many do.

    x, energy, count: the fixed points, their E and their numbers of random states.
    overlap: largest overlap of each with a data row.
    bound: overlap below which an attractor is spurious.
    is_mirrored: True if the opposites of rows count as rows, because E is symmetric.
    mass: the fraction of each chain's draws that descend to spurious attractors; None without draws at T > 0.
    """

    data: Data
    x: Float[Tensor, "k *event"]
    energy: Float[np.ndarray, " k"]
    count: Float[np.ndarray, " k"]
    overlap: Float[np.ndarray, " k"]
    bound: float
    is_mirrored: bool
    mass: Float[np.ndarray, " chain"] | None

    @property
    def is_spurious(self) -> Bool[np.ndarray, " k"]:
        """True for attractors without data."""
        return self.overlap < self.bound

    @property
    def fraction(self) -> float:
        """The fraction of random states that descend to spurious attractors."""
        return float(self.count[self.is_spurious].sum() / self.count.sum())

    def heaviest(self, most: int) -> list[int]:
        """Return up to `most` spurious attractors that most random states descend to."""
        order = np.argsort(-self.count, kind="stable")
        return order[self.is_spurious[order]][:most].tolist()

    def describe(self, k: int) -> str:
        """Return the energy of an attractor, its overlap with the data and its fraction of random states, in words."""
        share = self.count[k] / self.count.sum()
        return f"E = {self.energy[k]:.4g}, overlap {self.overlap[k]:.2f} with the data, {share:.1%} of random states"


def find_attractors(energy: nn.Module, data: Data, chains: Chains | None, starts: int) -> Attractors:
    """Descend from random states, and from draws if there are any, and compare the fixed points with the data rows."""
    rows = states_of(energy, few(available_rows(data).x).cpu().numpy())
    sites, rng = Sites(space_of(energy), tuple(rows.shape[1:])), generator(0, "spurious_valleys", rows.device)
    random = sites.uniform(starts, rng, rows.dtype)
    draws = random[:0] if chains is None else states_of(energy, chains.thinned(MAX_DRAWS).reshape(-1, *chains.event))
    found = find_fixed_points(energy, torch.cat([random, draws]), "spurious_valleys")
    of_random, of_draws = np.split(found.number, [starts])
    is_mirrored = is_symmetric(energy, sites, torch.cat([rows, random[:MAX_ROWS]]))
    near = torch.cat([rows, opposite(sites, rows)]) if is_mirrored else rows
    bound = overlap_of_held_out(sites, states_of(energy, few(data.split("held_out").x).cpu().numpy()), rows)
    overlap = overlaps(sites, found.x, near).amax(1).double().cpu().numpy()
    reached = np.bincount(of_random, minlength=len(found.x)).astype(float)
    # Attractors that only draws reach have mass, but are not counted among those of random states.
    return Attractors(
        data,
        found.x[np.flatnonzero(reached).tolist()],
        values(energy, found.x).double().cpu().numpy()[reached > 0],
        reached[reached > 0],
        overlap[reached > 0],
        bound,
        is_mirrored,
        None if chains is None else (overlap < bound)[of_draws].reshape(len(chains.x), -1).mean(1),
    )


def few(x: Float[Tensor, "n *event"]) -> Float[Tensor, "m *event"]:
    """Return at most 2,000 rows, evenly chosen."""
    return x[evenly_spaced(len(x), MAX_ROWS)]


def opposite(sites: Sites, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
    """Return the states with the other value at every site."""
    return sites.states(1 - sites.numbers(x), x.dtype)


def is_symmetric(energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"]) -> bool:
    """Return whether each of these states has the energy of its opposite, so that both are attractors or none."""
    if sites.values > 2:
        return False
    e, mirrored = values(energy, x), values(energy, opposite(sites, x))
    return bool(torch.allclose(e, mirrored, rtol=0, atol=1e-4 * float(e.std(correction=0)) + 1e-12))


def overlap_of_held_out(sites: Sites, held_out: Float[Tensor, "n *event"], rows: Float[Tensor, "m *event"]) -> float:
    """Return the overlap with a training row that 95 % of held-out rows have, at most 0.95."""
    nearest = overlaps(sites, held_out, rows).amax(1)
    return min(float(torch.quantile(nearest, HELD_OUT_QUANTILE)), MIN_OVERLAP)


def estimates_of(found: Attractors) -> dict[str, Estimate]:
    """Return the number of spurious attractors, the random states that reach them, and the draws that do."""
    starts, p = int(found.count.sum()), found.fraction
    count = int(found.is_spurious.sum())
    data = "data row and every opposite of one" if found.is_mirrored else "data row"
    far = f"with an overlap below {found.bound:.2f} with every {data}"
    number = f"{starts:,} random states lead to {count} fixed points {far} (0 is perfect)"
    reached = f"{100 * p:.1f} % of random states lead to such a fixed point"
    rows = {
        "spurious_valleys": Estimate(float(count), meaning=number),
        "spurious_starts": Estimate(p, se=(p * (1 - p) / starts) ** 0.5, meaning=reached),
    }
    if found.mass is not None:
        held = f"{100 * found.mass.mean():.1f} % of the chains' draws lead to such a fixed point"
        rows["spurious_mass"] = mean_over_chains(found.mass, "refused", held)
    return rows
