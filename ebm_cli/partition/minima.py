"""Minima of an energy in one to three dimensions: where a grid must be fine, and which modes the search may miss."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.path._coordinates import MAX_STATES_PER_CALL, WhitenedEnergy
from ebm_cli.wells.descent import descend

# Half widths, in standard deviations of the model, of the regular grids that are searched, by dimension.
HALF_WIDTHS = {1: (6.0, 30.0, 300.0), 2: (6.0, 30.0), 3: (6.0, 30.0)}
# Points per side of these grids, for an energy whose code is known to be smooth, and for any other.
KNOWN_POINTS = {1: 8192, 2: 192, 3: 36}
UNKNOWN_POINTS = {1: 2**18, 2: 768, 3: 96}
# Grids are moved by these fractions of their spacing, so that no node lies at 0 or on another grid.
SHIFT = {6.0: 0.381966, 30.0: 0.723607, 300.0: 0.145898}
# Maximum number of descents from each kind of state, and maximum step in standard deviations of the model.
MAX_DESCENTS, MAX_STEP = 192, 1.0
# Widths of normal starting points in standard deviations of the model, and their numbers.
WIDTHS, N_STARTS = (1.0, 3.0, 10.0, 30.0), 64
FAR_WIDTHS, N_FAR_STARTS = (100.0, 300.0, 1e3, 3e3, 1e4), 8
# Range of the bisection for widths in standard deviations of the model, its steps, and the rise of E/T in nats.
MIN_WIDTH, MAX_WIDTH, BISECTIONS, RISE = 1e-17, 64.0, 8, 0.5
# Minima with less than e^-40 of the largest mass are ignored, and maximum number of minima.
MAX_LOG_MASS_DEFICIT, MAX_MINIMA = 40.0, 96


@dataclass(frozen=True)
class Minima:
    """Minima and their widths, in the units of z.

    z: minima, the one with the largest mass first.
    width: distance along each axis at which E/T has risen by half a nat.
    spacing: of the grids that were searched, the finest first.
    n_points: number of evaluations made.
    """

    z: Float[Tensor, "m d"]
    width: Float[Tensor, "m d"]
    spacing: tuple[float, ...]
    n_points: int


def find_minima(space: WhitenedEnergy, smooth: bool, rows: Float[Tensor, "n d"]) -> Minima:
    """Return minima that descents reach from local minima of grids, from rows and from random states.

    A region with a lower E than at all neighbors of a grid node is found if it contains the node. A narrower region,
    toward which E does not slope elsewhere, is missed.

    smooth: True if the energy's code is known to be smooth.
    rows: states of about the model's distribution, in coordinates of `space`.
    """
    d = len(space.center)
    points = (KNOWN_POINTS if smooth else UNKNOWN_POINTS)[d]
    spacing = tuple(2 * half / points for half in HALF_WIDTHS[d])
    rng = torch.Generator().manual_seed(0)
    starts = [(grid_minima(space, half, points, d), step) for half, step in zip(HALF_WIDTHS[d], spacing, strict=True)]
    noise = torch.randn(N_STARTS, d, generator=rng, dtype=torch.float64)
    widths_of_noise = torch.tensor(WIDTHS, dtype=torch.float64).repeat(N_STARTS // len(WIDTHS))
    starts.append((noise * widths_of_noise[:, None], MAX_STEP))
    # Far out, steps are longer, because others would not arrive; a second descent continues from the final states.
    for width in FAR_WIDTHS:
        z = width * torch.randn(N_FAR_STARTS, d, generator=rng, dtype=torch.float64)
        starts.append((descended(space, torch.cat([z, -z]), MAX_STEP * width / HALF_WIDTHS[d][1]), MAX_STEP))
    chosen = torch.linspace(0, len(rows) - 1, min(len(rows), MAX_DESCENTS)).long()
    starts.append((rows[chosen], MAX_STEP))
    z = torch.cat([rows[chosen], *(each for z, step in starts for each in (z, descended(space, z, step)))])
    log_f = space.log_density(z)
    finite = torch.isfinite(log_f)
    z, width = largest_minima(space, z[finite], log_f[finite])
    n_points = len(HALF_WIDTHS[d]) * points**d + 2 * d * BISECTIONS * int(finite.sum())
    return Minima(z, width, spacing, n_points)


def grid_minima(space: WhitenedEnergy, half: float, points: int, d: int) -> Float[Tensor, "m d"]:
    """Return grid nodes without a neighbor of larger density, at most the 192 of largest density."""
    along = (torch.arange(points, dtype=torch.float64) + SHIFT[half]) * (2 * half / points) - half
    lines = MAX_STATES_PER_CALL // points ** (d - 1) + 1 if d > 1 else points
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
    found = found[values.argsort(descending=True)[:MAX_DESCENTS]]
    return along[found].view(-1, d)


def descended(space: WhitenedEnergy, z: Float[Tensor, "n d"], max_step: float) -> Float[Tensor, "n d"]:
    """Return the final states of descents; for an energy without a gradient, the states themselves."""
    try:
        return descend(space, z.to(space.center), 1.0, max_step)[0].double().cpu()
    except InputError:
        return z


def largest_minima(
    space: WhitenedEnergy, z: Float[Tensor, "n d"], log_f: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d"]]:
    """Return the minima with the largest masses, none within two widths of a larger one, and their widths."""
    order = log_f.argsort(descending=True)
    z, log_f = z[order], log_f[order]
    width = widths(space, z, log_f)
    mass = log_f + (2 * width).log().sum(1)
    order = mass.argsort(descending=True)
    z, width, mass = z[order], width[order], mass[order]
    left = mass >= mass[:1] - MAX_LOG_MASS_DEFICIT
    chosen: list[int] = []
    while len(chosen) < MAX_MINIMA and bool(left.any()):
        first = int(left.int().argmax())
        chosen.append(first)
        near = ((z - z[first]).abs() <= 2 * width[first]).all(1) & (width >= width[first] / 2).all(1)
        left &= ~near
        left[first] = False
    return z[chosen], width[chosen]


def widths(space: WhitenedEnergy, z: Float[Tensor, "n d"], log_f: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Return the distance from each state along each axis at which E/T has risen by half a nat; 64 if it has not."""
    n, d = z.shape
    width = torch.full((n, d), MAX_WIDTH, dtype=torch.float64)
    for axis in range(d):
        for side in (-1.0, 1.0):
            short, long = torch.full((n,), math.log(MIN_WIDTH)).double(), torch.full((n,), math.log(MAX_WIDTH)).double()
            for _ in range(BISECTIONS):
                middle = (short + long) / 2
                shifted = z.clone()
                shifted[:, axis] += side * middle.exp()
                risen = ~(space.log_density(shifted) >= log_f - RISE)
                short, long = torch.where(risen, short, middle), torch.where(risen, middle, long)
            width[:, axis] = torch.minimum(width[:, axis], long.exp())
    return width
