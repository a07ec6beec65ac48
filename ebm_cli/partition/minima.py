"""Minima of an energy in one to three dimensions: where a grid must be fine, and which modes a search may miss."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.partition.whitened import CHUNK, Whitened
from ebm_cli.wells.modes import descend

# Half widths, in standard deviations of the model, of the regular grids that are searched, and their points per side,
# by dimension: of an energy whose code is known to be smooth, and of any other.
HALVES = {1: (6.0, 30.0, 300.0), 2: (6.0, 30.0), 3: (6.0, 30.0)}
KNOWN_POINTS = {1: 8192, 2: 192, 3: 36}
UNKNOWN_POINTS = {1: 2**18, 2: 768, 3: 96}
# Grids are moved by these fractions of their spacing, so that no node lies at 0 or on another grid.
SHIFT = {6.0: 0.381966, 30.0: 0.723607, 300.0: 0.145898}
# Descents at most from each kind of state, and descents' longest steps in standard deviations of the model.
STARTS, REACH = 192, 1.0
THROWN_WIDTHS, THROWN = (1.0, 3.0, 10.0, 30.0), 64
FAR_WIDTHS, THROWN_FAR = (100.0, 300.0, 1e3, 3e3, 1e4), 8
# Widths are found by bisection between these, in standard deviations of the model: where E/T has risen by half a nat.
SHORTEST, LONGEST, BISECTIONS, RISE = 1e-17, 64.0, 8, 0.5
# Minima whose Gaussian holds less than e^-40 of the largest one's mass are left out, and others nearer than 2 widths.
NEGLIGIBLE, MOST = 40.0, 96


@dataclass(frozen=True)
class Minima:
    """z: minima, the heaviest first. width: along each axis, at which the energy has risen by half a nat, in z's units.

    spacing: of the grids that were searched, the finest first, in the same units. spent: evaluations made.
    """

    z: Float[Tensor, "m d"]
    width: Float[Tensor, "m d"]
    spacing: tuple[float, ...]
    spent: int


def find_minima(space: Whitened, known: bool, rows: Float[Tensor, "n d"]) -> Minima:
    """Minima that descents reach from local minima of two grids, from rows and from random states.

    known: whether the energy's code is known to be smooth. rows: states known of the model, in its coordinates.
    A region in which E lies below that at all neighbors of a grid is found if it contains a node; a narrower one, with
    an energy that does not slope toward it elsewhere, is not.
    """
    d = len(space.middle)
    points = (KNOWN_POINTS if known else UNKNOWN_POINTS)[d]
    rng = torch.Generator().manual_seed(0)
    starts, spent = [], 0
    for half in HALVES[d]:
        z = grid_minima(space, half, points, d)
        starts.append((z, 2 * half / points))
        spent += points**d
    noise = torch.randn(THROWN, d, generator=rng, dtype=torch.float64)
    starts.append((noise * torch.tensor(THROWN_WIDTHS, dtype=torch.float64).repeat(THROWN // 4)[:, None], REACH))
    # Far out steps are longer, or none would arrive; one more descent follows where they end.
    for width in FAR_WIDTHS:
        z = width * torch.randn(THROWN_FAR, d, generator=rng, dtype=torch.float64)
        starts.append((descended(space, torch.cat([z, -z]), REACH * width / HALVES[d][1]), REACH))
    chosen = torch.linspace(0, len(rows) - 1, min(len(rows), STARTS)).long()
    starts.append((rows[chosen], REACH))
    ends = [rows[chosen]]
    for z, reach in starts:
        ends += [z, descended(space, z, reach)]
    z = torch.cat(ends)
    log_f = space.log_density(z)
    sound = torch.isfinite(log_f)
    z, log_f = z[sound], log_f[sound]
    z, width = heaviest(space, z, log_f)
    return Minima(z, width, tuple(2 * half / points for half in HALVES[d]), spent + 2 * d * BISECTIONS * len(log_f))


def grid_minima(space: Whitened, half: float, points: int, d: int) -> Float[Tensor, "m d"]:
    """Nodes of a regular grid none of whose neighbors has a larger density, at most 192 of the largest."""
    along = (torch.arange(points, dtype=torch.float64) + SHIFT[half]) * (2 * half / points) - half
    lines = CHUNK // points ** (d - 1) + 1 if d > 1 else points
    parts = []
    for part in along.split(lines):
        axes = torch.meshgrid(part, *[along] * (d - 1), indexing="ij")
        parts.append(space.log_density(torch.stack([a.flatten() for a in axes], 1)).view(axes[0].shape))
    log_f = torch.cat(parts)
    highest = log_f
    for axis in range(d):
        padded = torch.nn.functional.pad(highest.movedim(axis, -1), (1, 1), value=-math.inf)
        highest = torch.maximum(torch.maximum(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:]).movedim(-1, axis)
    found = ((log_f == highest) & torch.isfinite(log_f)).nonzero()
    values = log_f[tuple(found.T)]
    found = found[values.argsort(descending=True)[:STARTS]]
    return along[found].view(-1, d)


def descended(space: Whitened, z: Float[Tensor, "n d"], reach: float) -> Float[Tensor, "n d"]:
    """Where descents from these states end, those of an energy without a gradient where they begin."""
    try:
        return descend(space, z.to(space.middle), 1.0, reach)[0].double().cpu()
    except InputError:
        return z


def heaviest(
    space: Whitened, z: Float[Tensor, "n d"], log_f: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d"]]:
    """Minima with much of the mass, none within two widths of a heavier one, and their widths."""
    order = log_f.argsort(descending=True)
    z, log_f = z[order], log_f[order]
    width = widths(space, z, log_f)
    mass = log_f + (2 * width).log().sum(1)
    order = mass.argsort(descending=True)
    z, width, mass = z[order], width[order], mass[order]
    left = mass >= mass[:1] - NEGLIGIBLE
    chosen: list[int] = []
    while len(chosen) < MOST and bool(left.any()):
        first = int(left.int().argmax())
        chosen.append(first)
        near = ((z - z[first]).abs() <= 2 * width[first]).all(1) & (width >= width[first] / 2).all(1)
        left &= ~near
        left[first] = False
    return z[chosen], width[chosen]


def widths(space: Whitened, z: Float[Tensor, "n d"], log_f: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """The step from each state along each axis at which E/T has risen by half a nat; 64 where it has not."""
    n, d = z.shape
    width = torch.full((n, d), LONGEST, dtype=torch.float64)
    for axis in range(d):
        for side in (-1.0, 1.0):
            short, long = torch.full((n,), math.log(SHORTEST)).double(), torch.full((n,), math.log(LONGEST)).double()
            for _ in range(BISECTIONS):
                middle = (short + long) / 2
                moved = z.clone()
                moved[:, axis] += side * middle.exp()
                risen = ~(space.log_density(moved) >= log_f - RISE)
                short, long = torch.where(risen, short, middle), torch.where(risen, middle, long)
            width[:, axis] = torch.minimum(width[:, axis], long.exp())
    return width
