"""Basins on a grid: exact weights of wells in up to three dimensions."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.wells.modes import Modes, descend, merged, spread_of, states_of, values

CELLS = {1: 8001, 2: 301, 3: 81}
COARSE = {1: 401, 2: 61, 3: 25}
EDGE = 1e-5
ROUNDS = 60


@dataclass(frozen=True)
class Basins:
    """A grid on which every point belongs to a mode.

    axes: coordinates along each dimension. energy: E at the points. mode: the number, from 0, of each point's.
    """

    axes: list[Float[np.ndarray, " points"]]
    energy: Float[np.ndarray, "*grid"]
    mode: Int[np.ndarray, "*grid"]
    modes: Modes

    def weights(self, temperature: float) -> Float[np.ndarray, " k"]:
        """Share of exp(−E/T) in each basin, by the trapezoid rule; off by about one cell along the ridges."""
        mass = np.exp(-(self.energy - self.energy.min()) / temperature)
        shares = np.bincount(self.mode.ravel(), mass.ravel(), minlength=len(self.modes))
        return shares / shares.sum()

    def of(self, x: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
        """The mode of the grid point nearest to each state; beyond the grid that of its edge."""
        places = []
        for i, axis in enumerate(self.axes):
            place = np.rint((x[:, i] - axis[0]) / (axis[1] - axis[0]))
            places.append(np.clip(place, 0, len(axis) - 1).astype(np.int64))
        return self.mode[tuple(places)]


def basins_of(
    energy: nn.Module, x: Float[np.ndarray, "n d"], temperature: float, barrier: float, hottest: float
) -> Basins | None:
    """Modes and basins of an energy in one to three dimensions; None where exp(−E/T) does not vanish far away.

    The grid holds all but about 10⁻⁵ of the mass at `hottest` ≥ temperature. A point's basin is where the steepest way
    over neighbouring points ends, followed from there by descent; minima are joined below barrier·T.
    """
    axes = box_of(energy, x, hottest)
    if axes is None:
        return None
    e = on_grid(energy, axes)
    root = downhill(e, axes)
    ends, place = np.unique(root, return_inverse=True)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))[ends]
    bottoms, bottom_e = descend(energy, states_of(energy, points), temperature, reach_of(axes))
    cell = float(np.linalg.norm([axis[1] - axis[0] for axis in axes]))
    modes = merged(energy, bottoms, bottom_e, temperature, barrier, near=cell)
    return Basins(axes, e, modes.of(bottoms)[place].reshape(e.shape), modes)


def reach_of(axes: list[Float[np.ndarray, " points"]]) -> float:
    """Two cells: descent from a grid's minimum stays in its basin."""
    return 2 * float(min(axis[1] - axis[0] for axis in axes))


def box_of(energy: nn.Module, x: Float[np.ndarray, "n d"], temperature: float) -> list[np.ndarray] | None:
    """Axes of a box around the states, widened where its sides hold mass, cut where neither mass nor states are."""
    d = x.shape[1]
    # A state that ran away must not take the grid's points from all the others.
    inner = np.quantile(x, [0.001, 0.999], axis=0)
    pad = 0.5 * spread_of(states_of(energy, np.clip(x, inner[0], inner[1])))
    low, high = inner[0] - pad, inner[1] + pad
    for _ in range(ROUNDS):
        axes = [np.linspace(low[i], high[i], COARSE[d]) for i in range(d)]
        e = on_grid(energy, axes)
        mass = np.exp(-(e - e.min()) / temperature)
        mass /= mass.sum()
        sides = [mass.sum(tuple(j for j in range(d) if j != i)) for i in range(d)]
        wide = [(side[0] > EDGE / 10, side[-1] > EDGE / 10) for side in sides]
        if not any(any(pair) for pair in wide):
            return [trimmed(axes[i], sides[i], inner[:, i], CELLS[d]) for i in range(d)]
        grow = 0.3 * (high - low)
        low = low - grow * [pair[0] for pair in wide]
        high = high + grow * [pair[1] for pair in wide]
    return None


def trimmed(
    axis: Float[np.ndarray, " coarse"], side: Float[np.ndarray, " coarse"], inner: Float[np.ndarray, " 2"], points: int
) -> Float[np.ndarray, " points"]:
    """A finer axis over the part that holds mass or states, and two coarse cells around it."""
    held = np.flatnonzero(side > EDGE / 10)
    margin = 2 * (axis[1] - axis[0])
    return np.linspace(min(axis[held[0]], inner[0]) - margin, max(axis[held[-1]], inner[1]) + margin, points)


def on_grid(energy: nn.Module, axes: list[Float[np.ndarray, " points"]]) -> Float[np.ndarray, "*grid"]:
    """E at every point, in double precision; infinite where it is not a number."""
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    e: Tensor = values(energy, states_of(energy, points))
    return np.nan_to_num(e.double().cpu().numpy(), nan=np.inf).reshape([len(axis) for axis in axes])


def downhill(e: Float[np.ndarray, "*grid"], axes: list[Float[np.ndarray, " points"]]) -> Int[np.ndarray, " all"]:
    """The flat index of the point at which the steepest way down over neighbouring points ends."""
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
