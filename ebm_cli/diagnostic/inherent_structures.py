"""Inherent structures: the energies of the minima below the draws, and the fraction of draws above each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import nn

from ebm_cli import check
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy import SMOOTH
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.wells.descent import descend, rms_radius, states_of
from ebm_cli.wells.modes import mode_fractions

UNITS = {"lowest_energy": None, "minimum_energies": None, "minimum_fractions": None}
MAX_STEPS = 4000
MAX_LISTED = 12


@dataclass(frozen=True)
class Structures:
    """Minima with different energies, in increasing order.

    energies: E of each.
    fractions: fraction of each chain's draws that descend to it.
    """

    energies: Float[np.ndarray, " k"]
    fractions: Float[np.ndarray, "chain k"]

    @property
    def means(self) -> Float[np.ndarray, " k"]:
        """The mean fractions over chains."""
        return self.fractions.mean(0)

    @property
    def errors(self) -> Float[np.ndarray, " k"] | None:
        """The standard errors of the means; None for a single chain."""
        count = len(self.fractions)
        return self.fractions.std(0, ddof=1) / count**0.5 if count > 1 else None


class InherentStructures:
    """Energies Eᵢ of minima that steepest descent from draws reaches, and the fraction pᵢ of draws in each basin.

    Stillinger and Weber, 1982 (Phys. Rev. A 25, 978). Minima are told apart by their energies. Therefore images of one
    minimum under rotations or permutations of particles are one structure, and so are different minima with equal
    energies. A minimum is not found if no draw is in its basin. Standard errors are over chains.

    draws: number of states per chain from which descent starts (≥ 1).
    resolution: energies that differ by less are one structure, in units of energy (> 0).
    """

    spaces = SMOOTH

    def __init__(self, draws: int, resolution: float) -> None:
        check.count("draws", draws)
        check.positive("resolution", resolution)
        self.draws = draws
        self.resolution = resolution

    def __call__(self, context: ChainContext) -> Result:
        reason = context.lacks()
        energy, chains = context.energy, context.screened.usable
        if reason or energy is None or chains is None:
            return all_refused(UNITS, reason)
        found = self.structures(energy, chains.thinned(self.draws))
        return Result(self._estimates(found, context.screened.warnings), found, picture)

    def structures(self, energy: nn.Module, few: Float[np.ndarray, "chain draw *event"]) -> Structures:
        """Return the structures below these draws."""
        count, draws = few.shape[:2]
        x = states_of(energy, few.reshape(count * draws, *few.shape[2:]))
        _, e = descend(energy, x, self.resolution, 0.1 * rms_radius(x), MAX_STEPS)
        energies, number = levels(e.double().cpu().numpy(), self.resolution)
        return Structures(energies, mode_fractions(number.reshape(count, draws), len(energies)))

    def _estimates(self, found: Structures, warnings: list[str]) -> dict[str, Estimate]:
        means, errors, listed = found.means, found.errors, slice(MAX_LISTED)
        lowest = f"{found.energies[0]:.8g}, to which {100 * means[0]:.1f} % of draws descend"
        meaning = f"{lowest}; {len(means)} minima with different energies"
        fractions = Estimate(
            means[listed].tolist(),
            se=None if errors is None else errors[listed].tolist(),
            meaning=f"fractions of draws that descend to the {min(len(means), MAX_LISTED)} lowest minima",
            if_not_mixed="refused",
        )
        return {
            "lowest_energy": Estimate(float(found.energies[0]), meaning=meaning).with_caution(warnings),
            "minimum_energies": Estimate(found.energies[listed].tolist()).with_caution(warnings),
            "minimum_fractions": fractions.with_caution(warnings),
        }


def levels(e: Float[np.ndarray, " n"], resolution: float) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " n"]]:
    """Return the lowest value of each group of values without gaps ≥ `resolution`, and the group of each value."""
    order = np.argsort(e)
    starts = np.diff(e[order], prepend=-np.inf) >= resolution
    number = np.empty(len(e), dtype=np.int64)
    number[order] = np.cumsum(starts) - 1
    return e[order][starts], number


def picture(result: Result) -> Picture:
    """Draw the fraction of draws above each minimum against its energy."""
    from ebm_cli import figure

    found: Structures = result.arrays
    drawn, (axes,) = figure.new()
    axes.errorbar(found.energies, found.means, yerr=found.errors, fmt="o", markersize=4, color=figure.BLUE, capsize=2)
    axes.vlines(found.energies, 0, found.means, color=figure.SKY, linewidth=1)
    axes.set(xlabel="energy of the minimum", ylabel="fraction of draws", ylim=(0, None))
    return drawn, (
        f"Fraction of draws that descend to each of {len(found.energies)} minima, with standard errors over "
        f"{len(found.fractions)} chains, against the energy of the minimum. The lowest is {found.energies[0]:.8g}. "
        "Look for a lowest energy that stays the same with longer chains and higher temperatures."
    )
