"""Cells around the minima of an energy, and shells of growing radius around them until no mass is left."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.partition.cells import Cells
from ebm_cli.partition.minima import Minima
from ebm_cli.partition.rays import REMEDY
from ebm_cli.path._coordinates import WhitenedEnergy

# Edges of the first cells on either side of the center, by dimension, in standard deviations of the model.
EDGES = {1: (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 18.0, 30.0), 2: (2.0, 4.0, 8.0, 15.0, 30.0), 3: (3.0, 8.0, 30.0)}
# They are moved by this much per axis, so that no edge lies where an energy is likely to jump.
OFFSET = 0.0618034
# Ratio of the widths of successive shells, by dimension, and the maximum number of shells.
SHELL_GROWTH = {1: 2.0, 2: 2.0, 3: 4.0}
MAX_SHELLS = 48
# Fraction of the mass beyond the last shell that may be left out.
MAX_LEFT_OUT = 1e-8
# Ratio of the masses of successive shells below which the sum converges, and above which a shell is slow.
CONVERGED_RATIO, SLOW_RATIO = 0.6, 0.93
# The integral is taken to be infinite after this many slow shells in a row, or after 2 that hold nearly all mass.
MAX_SLOW_SHELLS, DOMINANT_FRACTION = 6, 0.999
# Relative errors to which cells and shells are refined at first.
CELL_ERROR, SHELL_ERROR = 1e-3, 1e-2


@dataclass(frozen=True)
class Tail:
    """What lies beyond the last shell.

    left_out: fraction of the mass there, extrapolated.
    divergence: why the sum over shells has no limit; empty if it has one.
    half: half width of the last shell.
    """

    left_out: float
    divergence: str
    half: float


@dataclass
class ShellMasses:
    """The log masses of shells. inside: log of the mass so far. slow: number of slow shells in a row."""

    inside: float
    last: float = math.inf
    fraction: float = 0.0
    ratio: float = 0.0
    slow: int = 0
    count: int = 0

    def add(self, log_mass: float) -> None:
        """Add the next shell."""
        self.inside = float(np.logaddexp(self.inside, log_mass))
        self.fraction = math.exp(log_mass - self.inside) if math.isfinite(self.inside) else 0.0
        self.ratio = math.exp(min(log_mass - self.last, 50.0)) if math.isfinite(log_mass) else 0.0
        self.slow = self.slow + 1 if self.ratio > SLOW_RATIO else 0
        self.last, self.count = log_mass, self.count + 1

    @property
    def left_out(self) -> float:
        """Return the fraction of the mass beyond the last shell, if masses fall at the present ratio."""
        return self.fraction * self.ratio / (1 - self.ratio) if self.ratio < 1 else math.inf

    @property
    def diverges(self) -> bool:
        """Return True if the masses do not fall."""
        return self.slow >= MAX_SLOW_SHELLS or (self.slow >= 2 and self.fraction > DOMINANT_FRACTION)

    @property
    def converged(self) -> bool:
        """Return True if the mass beyond the last shell is negligible."""
        return self.count > 1 and self.left_out <= MAX_LEFT_OUT and self.ratio < CONVERGED_RATIO


def cells_and_tail(
    space: WhitenedEnergy, minima: Minima, rows: Float[Tensor, "n d"], max_evaluations: int
) -> tuple[Cells, Tail]:
    """Return cells around the minima and shells around them, until the rest is negligible or the masses do not fall."""
    d = len(space.center)
    edges = [axis_edges(d, limits, axis) for axis, limits in enumerate(extents(minima, rows))]
    cells = refined_cells(space, cell_boxes(edges, None), minima, CELL_ERROR, max_evaluations // 4)
    masses = ShellMasses(cells.log_total)
    for _ in range(MAX_SHELLS):
        inner = edges
        edges = [grow_box(each, SHELL_GROWTH[d]) for each in edges]
        shell = refined_cells(space, cell_boxes(edges, inner), minima, SHELL_ERROR, max_evaluations // 16)
        masses.add(shell.log_total)
        cells.merge(shell)
        if masses.diverges or cells.n_points > max_evaluations:
            break
        if masses.converged:
            return cells, Tail(masses.left_out, "", float(edges[0][-1]))
    half = float(max(each[-1] - each[0] for each in edges) / 2)
    if masses.diverges:
        divergence = (
            f"exp(−E/T) appears to have no finite integral: the shell from {half / SHELL_GROWTH[d]:.2g} to {half:.2g} "
            f"standard deviations out holds {masses.ratio:.3g} times the mass of the previous shell; {REMEDY}"
        )
        return cells, Tail(math.inf, divergence, half)
    return cells, Tail(masses.left_out, "", half)


def refined_cells(
    space: WhitenedEnergy, boxes: tuple[Tensor, Tensor], minima: Minima, tolerance: float, evaluations: int
) -> Cells:
    """Return cells that fill these boxes, fine around minima, with a relative error of about `tolerance`."""
    cells = Cells.empty(space, len(space.center))
    cells.add(*boxes)
    cells.carve(minima.z, minima.width)
    cells.refine(tolerance, cells.n_points + evaluations)
    return cells


def extents(minima: Minima, rows: Float[Tensor, "n d"]) -> list[tuple[float, float]]:
    """Return the lowest and highest coordinate of minima and rows along each axis."""
    every = torch.cat([minima.z, rows])
    return list(zip(every.amin(0).tolist(), every.amax(0).tolist(), strict=True))


def axis_edges(d: int, limits: tuple[float, float], axis: int) -> Float[np.ndarray, " k"]:
    """Return edges of the first cells along an axis, to 30 standard deviations or beyond both limits."""
    own = EDGES[d]
    edges = np.array([-e for e in own[::-1]] + [0.0] * (d != 2) + list(own)) + OFFSET * (axis + 1)
    while limits[0] < edges[0] or limits[1] > edges[-1]:
        edges = grow_box(edges, SHELL_GROWTH[d])
    return edges


def grow_box(edges: Float[np.ndarray, " k"], growth: float) -> Float[np.ndarray, " m"]:
    """Return the edges with one more on both sides."""
    center, half = (edges[0] + edges[-1]) / 2, (edges[-1] - edges[0]) / 2
    return np.concatenate([[center - growth * half], edges, [center + growth * half]])


def cell_boxes(
    edges: list[np.ndarray], inner: list[np.ndarray] | None
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Return centers and half widths of all cells between these edges, without those inside the edges of `inner`."""
    low = torch.cartesian_prod(*(torch.from_numpy(each[:-1]) for each in edges)).view(-1, len(edges))
    high = torch.cartesian_prod(*(torch.from_numpy(each[1:]) for each in edges)).view(-1, len(edges))
    if inner is not None:
        first, last = (torch.tensor([each[side] for each in inner]) for side in (0, -1))
        outside = ((low < first) | (high > last)).any(1)
        low, high = low[outside], high[outside]
    return (low + high) / 2, (high - low) / 2
