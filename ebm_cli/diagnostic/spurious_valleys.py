"""Spurious valleys: regions far from every data row to which the model gives mass."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._valley_mass import FAR_QUANTILE, Valley, weigh
from ebm_cli.diagnostic._valley_search import DescentResult, search, training_rows
from ebm_cli.energy import CONTINUOUS
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.rng import generator
from ebm_cli.wells.descent import distances
from ebm_cli.wells.low_energy import SHELL_SIZE, anneal_to_temperature, repeat_rows

NAME = "spurious_valleys"
NEAR_CHAINS = 1000
MAX_LISTED = 3
NO_DATA = "without data no valley can be called spurious. Type run=RUN, or data=NAME"


@dataclass(frozen=True)
class Shown:
    """What the picture shows: the model, the data rows, states at rest and the valleys.

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


class SpuriousValleys:
    """The number of valleys with at least `min_mass` of the model's mass and under a tenth of that of the data.

    Search: `starts` points, radius even from 0 to √d + `reach` standard deviations of the data, directions even, half
    of them stretched by the data's covariance; in each shell the hundredth of lowest E for its radius; descent,
    Langevin steps from `initial_temperature_ratio`·T cooled to T, descent again; the chains' first and last draws
    likewise. Minima with less than T between them are one valley. Mass: log ∫ exp(−E/T) over a valley's basin, and
    over the rest near the data, by bridge sampling (Meng and Wong, 1996, Statistica Sinica 6, 831) between chains
    that start there and a Gaussian mixture fitted to half of them. Data are absent if under a tenth of the model's
    fraction of data rows descends there, and if the valley's draws are farther from the nearest row than 95 % of the
    model's draws near the data. A valley that covers less than about one in `starts`/10 of all directions is missed:
    in 16 dimensions and 6 to 10 standard deviations away all of 20 that are 0.6 as wide as the data are found, 11 at
    0.5, 1 at 0.4. Above some 50 dimensions chains that start near the data do not reach equilibrium in time, and
    masses are right to a few nats.

    starts: evaluations of E (≥ 1000).
    reach: radius of the search beyond the data's, in standard deviations (> 0).
    initial_temperature_ratio: temperature at which annealing starts, in T (≥ 1).
    min_mass: fraction of the mass from which a valley counts (in [0, 1]).
    """

    spaces = CONTINUOUS

    def __init__(self, starts: int, reach: float, initial_temperature_ratio: float, min_mass: float) -> None:
        check.count("starts", starts, least=SHELL_SIZE)
        check.positive("reach", reach)
        check.number("initial_temperature_ratio", initial_temperature_ratio)
        if initial_temperature_ratio < 1:
            raise check.InputError(f"initial_temperature_ratio must be >= 1, got {initial_temperature_ratio}")
        check.share("min_mass", min_mass)
        self.starts = starts
        self.reach = reach
        self.initial_temperature_ratio = initial_temperature_ratio
        self.min_mass = min_mass

    def __call__(self, context: ChainContext) -> Result:
        reason = context.lacks("valleys have no mass")
        energy, T, data = context.energy, context.temperature, context.data
        if energy is not None and data is None:
            reason = NO_DATA
        chains = context.screened.usable
        if reason or energy is None or T is None or data is None or chains is None:
            return all_refused({NAME: None}, reason)
        rows = training_rows(data, energy)
        found = search(energy, T, rows, chains, self.starts, self.reach, self.initial_temperature_ratio)
        rng = generator(1, NAME, rows.device)
        near = anneal_to_temperature(energy, repeat_rows(rows, NEAR_CHAINS), T, 1.0, rows, rng)
        valleys = weigh(energy, T, rows, near, found, self.min_mass)
        numbers = [valley.number for valley in valleys]
        first, last = (float(np.isin(mode, numbers).mean()) for mode in (found.first, found.last))
        shown = Shown(energy, T, data, rows, found, valleys, self.starts, first, last)
        reasons = [*context.screened.warnings, *leaving_data_warning(near, rows), *valley_reasons(shown)]
        return Result({NAME: count_of(shown).with_caution(reasons)}, shown, picture)


def count_of(shown: Shown) -> Estimate:
    """Return the number of valleys with its meaning."""
    valleys = shown.valleys
    # A valley that was found exists; that there is none also depends on where the chains have been.
    if not valleys:
        meaning = "no region without data was found to hold mass of the model (0 is perfect)"
        return Estimate(0.0, meaning=meaning, if_not_mixed="refused")
    held = f"{sum(valley.mass for valley in valleys) * 100:.1f} % of the model's mass"
    meaning = f"{held} is in {shown.count} without data (0 is perfect)"
    return Estimate(float(len(valleys)), meaning=meaning, if_not_mixed="caution")


def valley_reasons(shown: Shown) -> list[str]:
    """Return the heaviest valleys and what to do about them."""
    if not shown.valleys:
        return []
    more = len(shown.valleys) - MAX_LISTED
    return [
        *(valley.describe() for valley in shown.valleys[:MAX_LISTED]),
        *([f"{more} more valleys without data"] if more > 0 else []),
        f"these valleys contain {shown.first:.1%} of the chains' first draws and {shown.last:.1%} of their last. "
        "Continue training with start=replay or more objective.steps",
    ]


def leaving_data_warning(near: Float[Tensor, "n *event"], rows: Float[Tensor, "rows *event"]) -> list[str]:
    """Return a warning if chains that start at data rows leave them: valleys are not the model's problem then."""
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
    """Draw the valleys over the energy in the plane, as images, or by energy and distance to the data."""
    from ebm_cli.diagnostic._spurious_valleys_figure import draw

    return draw(result.arrays)
