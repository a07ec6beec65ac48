"""Modes: minima of an energy, joined if no barrier separates them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from ebm_cli.wells.descent import descend, distances, rms_radius, values

# Distance below which two minima count as the same, in standard deviations of the states.
MIN_DISTANCE = 0.02
# Number of nearest minima with which a minimum is compared, and of points between two minima.
N_NEIGHBORS, N_POINTS = 8, 15
MAX_NAMED_DIMENSION = 4


@dataclass(frozen=True)
class Modes:
    """Minima of an energy, in increasing order of E, and their modes.

    energy: E of each minimum.
    mode: number of each minimum's mode, from 0, in the order of the modes' lowest minima.
    """

    minima: Float[Tensor, "m *event"]
    energy: Float[Tensor, " m"]
    mode: Int[np.ndarray, " m"]

    def __len__(self) -> int:
        return int(self.mode.max()) + 1

    @property
    def lowest(self) -> Float[Tensor, "k *event"]:
        """Return the lowest minimum of each mode."""
        _, first = np.unique(self.mode, return_index=True)
        return self.minima[first.tolist()]

    def assign(self, minima: Float[Tensor, "n *event"]) -> Int[np.ndarray, " n"]:
        """Return the mode of the minimum nearest to each final state of a descent."""
        return self.mode[distances(minima, self.minima).argmin(1).cpu().numpy()]

    def mode_by_descent(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float, reach: float
    ) -> Int[np.ndarray, " n"]:
        """Return the mode that descent from each state reaches."""
        return self.assign(descend(energy, x, temperature, reach)[0])


def place_of(point: Float[np.ndarray, " d"]) -> str:
    """Return ' near (x₁, x₂)' for a message about a mode at this point; empty above four dimensions."""
    if len(point) > MAX_NAMED_DIMENSION:
        return ""
    # Adding 0 removes the sign of −0.
    return f" near ({', '.join(f'{value + 0.0:.1f}' for value in point)})"


def mode_fractions(mode: np.ndarray, count: int) -> Float[np.ndarray, "chain k"]:
    """Return each chain's fraction of draws in each of `count` modes, given the mode of each draw of each chain."""
    return np.stack([(mode == k).mean(1) for k in range(count)], 1)


def find_modes(
    energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float, barrier: float, reach: float
) -> tuple[Modes, Int[np.ndarray, " n"]]:
    """Return the modes that descent from the rows reaches, and the mode of each row."""
    minima, e = descend(energy, x, temperature, reach)
    modes = merge_minima(energy, minima, e, temperature, barrier, MIN_DISTANCE * rms_radius(x))
    return modes, modes.assign(minima)


def merge_minima(
    energy: nn.Module,
    minima: Float[Tensor, "n *event"],
    e: Float[Tensor, " n"],
    temperature: float,
    barrier: float,
    near: float,
) -> Modes:
    """Return the modes of final states of descents.

    States within a distance `near` are one minimum. Two minima are joined if their barrier is below barrier·T: the
    maximum of E along the straight line between them minus the larger E of both. Connected minima are a mode. Each
    minimum is compared with its 8 nearest. The line overestimates the barrier if a valley is bent. Such a valley is
    still one mode if it has minima along it.
    """
    order = torch.argsort(e)
    minima, e = minima[order], e[order]
    first = distinct_rows(minima, near)
    minima, energies = minima[first], e[first]
    count = len(minima)
    if count == 1:
        return Modes(minima, energies, np.zeros(1, dtype=np.int64))
    nearest = distances(minima, minima).argsort(1)[:, 1 : N_NEIGHBORS + 1]
    i = torch.arange(count, device=minima.device).repeat_interleave(nearest.shape[1])
    j = nearest.flatten()
    low = barriers(energy, minima[i], minima[j]) < barrier * temperature
    i, j = i[low].cpu().numpy(), j[low].cpu().numpy()
    joints = coo_array((np.ones(len(i)), (i, j)), shape=(count, count))
    _, group = connected_components(joints, directed=False)
    return Modes(minima, energies, renumber(np.asarray(group)))


def distinct_rows(x: Float[Tensor, "n *event"], near: float) -> list[int]:
    """Return numbers of rows with mutual distances above `near`, chosen so that every row is within `near` of some."""
    found, left = [], torch.arange(len(x), device=x.device)
    while len(left):
        head = int(left[0])
        found.append(head)
        left = left[distances(x[left], x[head : head + 1])[:, 0] > near]
    return found


def renumber(group: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
    """Number the groups in the order in which they first appear."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def barriers(energy: nn.Module, a: Float[Tensor, "n *event"], b: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Return max E on the straight line between aᵢ and bᵢ, at 17 points, minus the larger of E(aᵢ) and E(bᵢ)."""
    t = torch.linspace(0, 1, N_POINTS + 2, dtype=a.dtype, device=a.device).view(-1, *[1] * a.dim())
    line = a + t * (b - a)
    e = values(energy, line.flatten(0, 1)).view(N_POINTS + 2, -1)
    return e.max(0).values - torch.maximum(e[0], e[-1])
