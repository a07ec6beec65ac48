"""The mass of valleys far from the data, by bridge sampling."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.data import Data
from ebm_cli.diagnostic._valley_search import DescentResult
from ebm_cli.rng import generator
from ebm_cli.wells.descent import distances, rms_radius, values
from ebm_cli.wells.low_energy import anneal_to_temperature, repeat_rows
from ebm_cli.wells.modes import place_of
from ebm_cli.wells.region_mass import log_mass

LOCAL_CHAINS = 200
MAX_CANDIDATES = 24
# Number of valleys that a message describes.
MAX_LISTED = 3
# Quantile of the distance to the nearest row beyond which a state is away from the data.
FAR_QUANTILE = 0.95
# Data are absent if their fraction is below this times the model's.
ABSENT_BELOW = 0.1


@dataclass(frozen=True)
class Valley:
    """A region with mass of the model and no data.

    number: the number of its mode.
    x: its lowest point.
    energy: E at x.
    mass: its fraction of the mass in the data's region and all candidate valleys.
    draws: states of the model in the valley.
    """

    number: int
    x: Float[Tensor, "*event"]
    energy: float
    mass: float
    draws: Float[Tensor, "n *event"]

    def describe(self) -> str:
        """Return its position in few dimensions, its energy and its mass, in words."""
        place = place_of(self.x.flatten().double().cpu().numpy())
        return f"a valley{place} at E = {self.energy:.3g} holds {self.mass:.1%} of the mass and no data"


@dataclass(frozen=True)
class ValleySummary:
    """The valleys that were found, and what their picture shows next to them.

    found: the descents from `starts` points, from the data rows and from the chains.
    first, last: the fractions of the chains' first and last draws in the valleys.
    """

    energy: nn.Module
    temperature: float
    data: Data
    rows: Float[Tensor, "rows *event"]
    found: DescentResult
    valleys: list[Valley]
    starts: int
    first: float
    last: float

    @property
    def count(self) -> str:
        """The number of valleys in words."""
        return f"{len(self.valleys)} {'valley' if len(self.valleys) == 1 else 'valleys'}"


def spurious_valleys(
    energy: nn.Module,
    temperature: float,
    rows: Float[Tensor, "rows *event"],
    near: Float[Tensor, "n *event"],
    found: DescentResult,
    min_mass: float,
) -> list[Valley]:
    """Return the valleys without data that have a fraction ≥ `min_mass` of the model's mass, heaviest first.

    near: draws of chains that start at the rows.
    """
    bound = float(torch.quantile(distances(near, rows).min(1).values, FAR_QUANTILE))
    suspects = candidates(found, rows, bound)
    if not suspects:
        return []
    draws, mass = masses(energy, temperature, rows, near, found, suspects)
    data = np.array([(found.rows == k).mean() for k in suspects])
    absent = [float(distances(x, rows).min(1).values.median()) > bound for x in draws]
    spurious = (mass >= min_mass) & (data < ABSENT_BELOW * mass) & np.array(absent)
    lowest, e = found.modes.lowest, values(energy, found.modes.lowest)
    heaviest = [(int(i), suspects[i]) for i in np.argsort(-mass) if spurious[i]]
    return [Valley(k, lowest[k], float(e[k]), float(mass[i]), draws[i]) for i, k in heaviest]


def candidates(found: DescentResult, rows: Float[Tensor, "rows *event"], bound: float) -> list[int]:
    """Return the modes with more than half of their states farther from the nearest row than `bound`."""
    away = (distances(found.states, rows).min(1).values > bound).cpu().numpy()
    held = np.bincount(found.mode, minlength=len(found.modes))
    beyond = np.bincount(found.mode, away, minlength=len(found.modes)) > 0.5 * held
    return np.flatnonzero(beyond & (held > 0))[:MAX_CANDIDATES].tolist()


def masses(
    energy: nn.Module,
    temperature: float,
    rows: Float[Tensor, "rows *event"],
    near: Float[Tensor, "n *event"],
    found: DescentResult,
    suspects: list[int],
) -> tuple[list[Float[Tensor, "draws *event"]], Float[np.ndarray, " suspects"]]:
    """Return states in each candidate valley, and its fraction of the mass in all candidates and near the data."""
    rng = generator(2, "spurious_valleys", rows.device)
    step = 0.1 * rms_radius(rows)

    def mode_of(x: Float[Tensor, "n *event"]) -> Int[np.ndarray, " n"]:
        return found.modes.mode_by_descent(energy, x, temperature, step)

    logs = [log_mass(energy, near, temperature, lambda x: ~np.isin(mode_of(x), suspects))]
    draws = []
    for k in suspects:
        members = found.states[(found.mode == k).nonzero()[0].tolist()]
        draws.append(anneal_to_temperature(energy, repeat_rows(members, LOCAL_CHAINS), temperature, 1.0, rows, rng))
        logs.append(log_mass(energy, draws[-1], temperature, lambda x, k=k: mode_of(x) == k))
    return draws, np.exp(np.array(logs) - np.logaddexp.reduce(logs))[1:]
