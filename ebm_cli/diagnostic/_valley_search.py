"""The search for valleys: states from far and near descend to minima. These are joined into modes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.rng import generator
from ebm_cli.wells.descent import descend, rms_radius, states_of
from ebm_cli.wells.low_energy import anneal_to_temperature, low_energy_candidates
from ebm_cli.wells.modes import Modes, merge_minima

MAX_ROWS = 2000
MAX_CHAINS = 500
BARRIER = 1.0
FIRST_DESCENT_STEPS = 60


@dataclass(frozen=True)
class DescentResult:
    """The modes that states from far and near descend to.

    states: states after annealing to T.
    mode: the mode of each state.
    rows, first, last: the modes of data rows, and of the first and last draws of the chains.
    """

    modes: Modes
    states: Float[Tensor, "n *event"]
    mode: Int[np.ndarray, " n"]
    rows: Int[np.ndarray, " rows"]
    first: Int[np.ndarray, " chains"]
    last: Int[np.ndarray, " chains"]


def search(
    energy: nn.Module,
    temperature: float,
    rows: Float[Tensor, "rows *event"],
    chains: Chains,
    starts: int,
    reach: float,
    temperature_ratio: float,
) -> DescentResult:
    """Descend from low-energy points far and near, from rows and from draws, and join the minima into modes.

    starts: points at which E is evaluated.
    reach: radius beyond the data's, in standard deviations (> 0).
    temperature_ratio: temperature at which annealing starts, in T (≥ 1).
    """
    rng = generator(0, "spurious_valleys", rows.device)
    far = low_energy_candidates(energy, rows, starts, reach, rng)
    first, last = (states_of(energy, chains.x[:MAX_CHAINS, draw]) for draw in (0, -1))
    step = 0.1 * rms_radius(rows)
    low, _ = descend(energy, torch.cat([far, first, last]), temperature, step, steps=FIRST_DESCENT_STEPS)
    states = anneal_to_temperature(energy, low, temperature, temperature_ratio, rows, rng)
    minima, e = descend(energy, torch.cat([states, rows[:MAX_CHAINS]]), temperature, step)
    modes = merge_minima(energy, minima, e, temperature, BARRIER, near=0.02 * rms_radius(rows))
    mode = modes.assign(minima)
    _, of_first, of_last, of_rows = np.split(mode, np.cumsum([len(far), len(first), len(last)]))
    return DescentResult(modes, states, mode[: len(states)], of_rows, of_first, of_last)


def training_rows(data: Data, energy: nn.Module) -> Float[Tensor, "rows *event"]:
    """Return at most 2,000 training rows with their noise, evenly chosen and then shuffled."""
    x = noisy_available_rows(data, 0).x
    chosen = evenly_spaced(len(x), MAX_ROWS)
    return states_of(energy, x[np.random.default_rng(0).permutation(chosen).tolist()].cpu().numpy())
