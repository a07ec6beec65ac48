"""Spurious valleys: regions far from every data row to which the model gives mass."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._spurious_attractors import Attractors, estimates_of, find_attractors
from ebm_cli.diagnostic._valley_mass import FAR_QUANTILE, MAX_LISTED, ValleySummary, spurious_valleys
from ebm_cli.diagnostic._valley_search import search, training_rows
from ebm_cli.energy import DISCRETE, NOT_PERIODIC, space_of
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.rng import generator
from ebm_cli.wells.descent import distances
from ebm_cli.wells.low_energy import N_KEPT, SHELL_SIZE, anneal_to_temperature, repeat_rows

NAME = "spurious_valleys"
NEAR_CHAINS = 1000
NO_DATA = "without data no valley can be called spurious. Type run=RUN, or data=NAME"


class SpuriousValleys:
    """The number of valleys without data that have a fraction ≥ `min_mass` of the model's mass.

    Search: `starts` points are drawn with uniform radius, from 0 to √d + `reach` standard deviations of the data, and
    uniform direction. Half of them are stretched by the data's covariance. In each shell, the 1 % of points with the
    lowest E for their radius are kept. They descend, make Langevin steps from `initial_temperature_ratio`·T cooled to
    T, and descend again. The same is done with the chains' first and last draws. Minima are one valley if the barrier
    between them is below T.

    Mass: log ∫ exp(−E/T) over a valley's basin, and over the rest near the data, is found by bridge sampling (Meng and
    Wong, 1996, Statistica Sinica 6, 831) between chains that start there and a Gaussian mixture fitted to half of them.

    A valley is without data if two conditions hold. The fraction of data rows that descend into it is below a tenth of
    the model's fraction. The valley's draws are farther from the nearest row than 95 % of the model's draws near the
    data.

    Limits: a valley is missed if it covers less than about 10/`starts` of all directions. For example, in 16 dimensions
    and 6 to 10 standard deviations away, 20 of 20 valleys 0.6 times as wide as the data are found, 11 of 20 at 0.5 and
    1 of 20 at 0.4. Above some 50 dimensions chains that start near the data do not reach equilibrium in time. Masses
    are then correct only to a few nats.

    Discrete states: 1 % of `starts` states, drawn uniformly, follow asynchronous updates at T = 0 to fixed points. One
    is spurious if its overlap with every data row, as in diagnostic=recall, is below 0.95 and below that of 95 % of the
    held-out rows. If E is symmetric, opposites of rows count as rows (Hopfield, 1982). `spurious_starts` is the
    fraction of these states, and `spurious_mass` that of the chains' draws, that lead to spurious fixed points. T may
    be 0. The other parameters are not used.

    starts: points of the search; 1 % of them descend (≥ 1000).
    reach: radius of the search beyond the data's, in standard deviations (> 0).
    initial_temperature_ratio: temperature at which annealing starts, in T (≥ 1).
    min_mass: fraction of the mass from which a valley counts (in [0, 1]).
    """

    spaces = NOT_PERIODIC

    def __init__(self, starts: int, reach: float, initial_temperature_ratio: float, min_mass: float) -> None:
        check.count("starts", starts, minimum=SHELL_SIZE)
        check.positive("reach", reach)
        check.number("initial_temperature_ratio", initial_temperature_ratio)
        if initial_temperature_ratio < 1:
            raise check.InputError(f"initial_temperature_ratio must be >= 1, got {initial_temperature_ratio}")
        check.fraction("min_mass", min_mass)
        self.starts = starts
        self.reach = reach
        self.initial_temperature_ratio = initial_temperature_ratio
        self.min_mass = min_mass

    def __call__(self, context: ChainContext) -> Result:
        energy, T, data = context.energy, context.temperature, context.data
        if energy is not None and data is not None and space_of(energy) in DISCRETE:
            return self._attractors(energy, data, context)
        reason = context.lacks("valleys have no mass")
        if energy is not None and data is None:
            reason = NO_DATA
        chains = context.screened.usable
        if reason or energy is None or T is None or data is None or chains is None:
            return all_refused({NAME: None}, reason)
        rows = training_rows(data, energy)
        found = search(energy, T, rows, chains, self.starts, self.reach, self.initial_temperature_ratio)
        rng = generator(1, NAME, rows.device)
        near = anneal_to_temperature(energy, repeat_rows(rows, NEAR_CHAINS), T, 1.0, rows, rng)
        valleys = spurious_valleys(energy, T, rows, near, found, self.min_mass)
        numbers = [valley.number for valley in valleys]
        first, last = (float(np.isin(mode, numbers).mean()) for mode in (found.first, found.last))
        summary = ValleySummary(energy, T, data, rows, found, valleys, self.starts, first, last)
        reasons = [*context.screened.warnings, *leaving_data_warning(near, rows), *valley_reasons(summary)]
        return Result({NAME: count_of(summary).with_caution(reasons)}, summary, picture)

    def _attractors(self, energy: nn.Module, data: Data, context: ChainContext) -> Result:
        """Return the spurious fixed points of discrete states."""
        chains = context.screened.usable if context.temperature else None
        found = find_attractors(energy, data, chains, self.starts * N_KEPT // SHELL_SIZE)
        notes = [f"spurious fixed point: {found.describe(k)}" for k in found.heaviest(MAX_LISTED)]
        return Result(estimates_of(found), found, picture, notes)


def count_of(summary: ValleySummary) -> Estimate:
    """Return the number of valleys with its meaning."""
    valleys = summary.valleys
    # A valley that was found exists whether or not chains are mixed. A count of 0 also depends on their mixing.
    if not valleys:
        meaning = "no region without data was found to hold mass of the model (0 is perfect)"
        return Estimate(0.0, meaning=meaning, if_not_mixed="refused")
    held = f"{sum(valley.mass for valley in valleys) * 100:.1f} % of the model's mass"
    meaning = f"{held} is in {summary.count} without data (0 is perfect)"
    return Estimate(float(len(valleys)), meaning=meaning, if_not_mixed="caution")


def valley_reasons(summary: ValleySummary) -> list[str]:
    """Return the heaviest valleys and what to do about them."""
    if not summary.valleys:
        return []
    more = len(summary.valleys) - MAX_LISTED
    return [
        *(valley.describe() for valley in summary.valleys[:MAX_LISTED]),
        *([f"{more} more valleys without data"] if more > 0 else []),
        f"these valleys contain {summary.first:.1%} of the chains' first draws and {summary.last:.1%} of their last. "
        "Continue training with start=replay or more objective.steps",
    ]


def leaving_data_warning(near: Float[Tensor, "n *event"], rows: Float[Tensor, "rows *event"]) -> list[str]:
    """Return a warning if chains that start at data rows leave them: then valleys are not the main problem."""
    gap = float(distances(near, rows).min(1).values.median())
    own = distances(rows, rows).fill_diagonal_(math.inf).min(1).values
    usual = float(torch.quantile(own, FAR_QUANTILE))
    if gap <= usual:
        return []
    return [
        f"chains that start at data rows leave them (half are over {gap:.3g} from the nearest row at the end, and 95 % "
        f"of rows have one within {usual:.3g}), so the model's mass is not where the data are. Continue training "
        "before searching for valleys"
    ]


def picture(result: Result) -> Picture:
    """Draw the valleys: in the plane, as images, or by energy and distance to the data."""
    if isinstance(result.arrays, Attractors):
        from ebm_cli.diagnostic._spurious_attractors_figure import draw_attractors

        return draw_attractors(result.arrays)
    from ebm_cli.diagnostic._spurious_valleys_figure import draw

    return draw(result.arrays)
