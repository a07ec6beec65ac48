"""Basins on a grid: exact weights of wells in up to three dimensions."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.wells.descent import descend, rms_radius, states_of, values
from ebm_cli.wells.modes import Modes, merge_minima

# Points per side of the grid, and of the coarse grid that finds its box, by dimension.
N_POINTS = {1: 8001, 2: 301, 3: 81}
N_COARSE_POINTS = {1: 401, 2: 61, 3: 25}
# A box is large enough if each of its sides holds less than this fraction of the mass.
MAX_SIDE_MASS = 1e-6
MAX_ROUNDS = 60


@dataclass(frozen=True)
class Basins:
    """A grid on which every point belongs to a mode.

    axes: coordinates along each dimension.
    energy: E at the points.
    mode: number of each point's mode, from 0.
    modes: the modes.
    """

    axes: list[Float[np.ndarray, " points"]]
    energy: Float[np.ndarray, "*grid"]
    mode: Int[np.ndarray, "*grid"]
    modes: Modes

    def weights(self, temperature: float) -> Float[np.ndarray, " k"]:
        """Return the fraction of exp(−E/T) in each basin by a sum over the grid; the error is a cell at ridges."""
        mass = np.exp(-(self.energy - self.energy.min()) / temperature)
        weights = np.bincount(self.mode.ravel(), mass.ravel(), minlength=len(self.modes))
        return weights / weights.sum()

    def assign(self, x: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
        """Return the mode of the nearest grid point for each state, inside or outside of the grid."""
        places = []
        for i, axis in enumerate(self.axes):
            place = np.rint((x[:, i] - axis[0]) / (axis[1] - axis[0]))
            places.append(np.clip(place, 0, len(axis) - 1).astype(np.int64))
        return self.mode[tuple(places)]


def find_basins(
    energy: nn.Module, x: Float[np.ndarray, "n d"], temperature: float, barrier: float, hottest: float
) -> Basins | None:
    """Return modes and basins of an energy in one, two or three dimensions; None if no box contains exp(−E/T).

    The grid contains all but about 10⁻⁵ of the mass at the temperature `hottest` (≥ temperature). The basin of a point
    belongs to the minimum that steepest descent over neighboring points, and then descent in space, reaches. Minima are
    one mode if the barrier between them is below barrier·T.
    """
    axes = mass_box(energy, x, hottest)
    if axes is None:
        return None
    e = energy_on_grid(energy, axes)
    lowest, place = np.unique(steepest_descent(e, axes), return_inverse=True)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))[lowest]
    cell = [axis[1] - axis[0] for axis in axes]
    # With steps of up to two cells, descent from a minimum of the grid stays in its basin.
    minima, minimum_e = descend(energy, states_of(energy, points), temperature, 2 * float(min(cell)))
    modes = merge_minima(energy, minima, minimum_e, temperature, barrier, near=float(np.linalg.norm(cell)))
    return Basins(axes, e, modes.assign(minima)[place].reshape(e.shape), modes)


def mass_box(energy: nn.Module, x: Float[np.ndarray, "n d"], temperature: float) -> list[np.ndarray] | None:
    """Return axes of a box that contains the mass and the states; None if no box does.

    The box is widened at each side that contains mass.
    """
    d = x.shape[1]
    # The outermost states are left out, because the box would be too large for the grid if one of them diverged.
    inner = np.quantile(x, [0.001, 0.999], axis=0)
    pad = 0.5 * rms_radius(states_of(energy, np.clip(x, inner[0], inner[1])))
    low, high = inner[0] - pad, inner[1] + pad
    for _ in range(MAX_ROUNDS):
        axes = [np.linspace(low[i], high[i], N_COARSE_POINTS[d]) for i in range(d)]
        e = energy_on_grid(energy, axes)
        mass = np.exp(-(e - e.min()) / temperature)
        mass /= mass.sum()
        sides = [mass.sum(tuple(j for j in range(d) if j != i)) for i in range(d)]
        wide = [(side[0] > MAX_SIDE_MASS, side[-1] > MAX_SIDE_MASS) for side in sides]
        if not any(any(pair) for pair in wide):
            return [fine_axis(axes[i], sides[i], inner[:, i], N_POINTS[d]) for i in range(d)]
        grow = 0.3 * (high - low)
        low = low - grow * [pair[0] for pair in wide]
        high = high + grow * [pair[1] for pair in wide]
    return None


def fine_axis(
    axis: Float[np.ndarray, " coarse"], side: Float[np.ndarray, " coarse"], inner: Float[np.ndarray, " 2"], points: int
) -> Float[np.ndarray, " points"]:
    """Return a finer axis over the interval with mass or states, with a margin of two coarse cells."""
    held = np.flatnonzero(side > MAX_SIDE_MASS)
    margin = 2 * (axis[1] - axis[0])
    return np.linspace(min(axis[held[0]], inner[0]) - margin, max(axis[held[-1]], inner[1]) + margin, points)


def energy_on_grid(energy: nn.Module, axes: list[Float[np.ndarray, " points"]]) -> Float[np.ndarray, "*grid"]:
    """Return E at every point in double precision; ∞ if it is not a number."""
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    e: Tensor = values(energy, states_of(energy, points))
    return np.nan_to_num(e.double().cpu().numpy(), nan=np.inf).reshape([len(axis) for axis in axes])


def steepest_descent(
    e: Float[np.ndarray, "*grid"], axes: list[Float[np.ndarray, " points"]]
) -> Int[np.ndarray, " all"]:
    """Return for each point the flat index of the point that steepest descent over neighboring points reaches."""
    steps = [axis[1] - axis[0] for axis in axes]
    number = np.arange(e.size).reshape(e.shape)
    padded, numbers = np.pad(e, 1, constant_values=np.inf), np.pad(number, 1)
    steepest, to = np.zeros(e.shape), number.copy()
    for offset in itertools.product((-1, 0, 1), repeat=e.ndim):
        if not any(offset):
            continue
        window = tuple(slice(1 + o, 1 + o + size) for o, size in zip(offset, e.shape, strict=True))
        with np.errstate(invalid="ignore"):
            slope = (e - padded[window]) / float(np.linalg.norm(np.multiply(offset, steps)))
        steeper = slope > steepest
        steepest, to = np.where(steeper, slope, steepest), np.where(steeper, numbers[window], to)
    to = to.ravel()
    while not np.array_equal(further := to[to], to):
        to = further
    return to
