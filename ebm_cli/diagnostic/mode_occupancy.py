"""Mode occupancy: the fraction of the chains' draws in each mode, compared with the fraction that should be there."""

import numpy as np
from jaxtyping import Float
from torch import nn

from ebm_cli import check
from ebm_cli.chain.chains import Chains
from ebm_cli.data import is_image
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._class_shares import by_classes
from ebm_cli.diagnostic._fixed_points import by_fixed_points
from ebm_cli.diagnostic._mode_shares import ModeShares, by_basins, by_components, by_descent
from ebm_cli.energy import DISCRETE, NOT_PERIODIC, space_of
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.estimate import Estimate, Picture, Result, all_refused, refused

UNITS = {"occupancy": None, "modes_missing": None}
# Smallest difference from an exact weight that is reported.
MIN_DIFFERENCE = 0.05
MAX_BASIN_DIMENSION = 2
MAX_LISTED = 4
NO_REFERENCE = (
    "the expected mode weights are unknown: they need data, or a model with at most two dimensions or 16 bits"
)


class ModeOccupancy:
    """oₖ = fraction of draws in mode k, with the standard error over independent chains.

    Modes and their reference weights are of the first kind below that applies:
    components of a Gaussian mixture at T = 1: each draw is divided by responsibility, so E[oₖ] = wₖ exactly;
    basins of E in one or two dimensions: ∫ exp(−E/T) over each basin by quadrature;
    classes of labeled images, by discriminant analysis of `features`: the fractions of the training rows;
    minima that draws and training rows descend to: the fractions of the training rows.
    Discrete states have fixed points of asynchronous descent at T = 0 instead of minima: with up to 2¹⁶ states, with
    the mass of all states that descend to each; otherwise with the fractions of the training rows. Those that have
    less than `min_weight` of draws and references are counted as one mode, the others.
    Minima are one mode if the barrier between them is below barrier·T. `modes_missing` lists modes with a reference
    weight ≥ `min_weight` and an occupancy below `missing` times the reference, by more than four errors. Above two
    dimensions, a mode is not found if neither draws nor rows come near it.

    barrier: minima of continuous states separated by a lower barrier are one mode, in T (> 0).
    min_weight: reference weight below which a mode is never missing (in [0, 1]).
    missing: fraction of the reference below which a mode is missing (in [0, 1]).
    draws: states per chain that are classified, or from which descent starts (≥ 1).
    """

    spaces = NOT_PERIODIC

    def __init__(self, barrier: float, min_weight: float, missing: float, draws: int) -> None:
        check.positive("barrier", barrier)
        check.fraction("min_weight", min_weight)
        check.fraction("missing", missing)
        check.count("draws", draws)
        self.barrier = barrier
        self.min_weight = min_weight
        self.missing = missing
        self.draws = draws

    def __call__(self, context: ChainContext) -> Result:
        reason = context.lacks("modes have no weights")
        energy, T, chains = context.energy, context.temperature, context.screened.usable
        if reason or energy is None or T is None or chains is None:
            return all_refused(UNITS, reason)
        found = self._mode_shares(context, energy, T, chains)
        missing, off = self._compare(found)
        reasons = [*context.screened.warnings, *self._reasons(found, missing, off, chains)]
        occupancy = Estimate(found.occupancy.tolist(), se=found.se.tolist(), if_not_mixed="refused")
        estimates = {
            "occupancy": occupancy.with_caution(reasons),
            "modes_missing": self._modes_missing(found, missing).with_caution(reasons),
        }
        return Result(estimates, (found, missing, context), picture)

    def _mode_shares(self, context: ChainContext, energy: nn.Module, temperature: float, chains: Chains) -> ModeShares:
        data, event = context.data, chains.event
        if isinstance(energy, GaussianMixture) and temperature == 1:
            return by_components(energy, chains)
        is_discrete = space_of(energy) in DISCRETE
        if not is_discrete and len(event) == 1 and event[0] <= MAX_BASIN_DIMENSION:
            found = by_basins(energy, temperature, chains, data, self.barrier)
            if found is not None:
                return found
        few = chains.thinned(self.draws)
        if data is not None and is_image(event):
            train = noisy_available_rows(data, 0)
            if train.y is not None:
                return by_classes(energy, few, data, train)
        if is_discrete:
            return by_fixed_points(energy, temperature, chains, self.draws, data, self.min_weight)
        return by_descent(energy, temperature, few, data, self.barrier)

    def _compare(self, found: ModeShares) -> tuple[list[int], list[int]]:
        """Return the missing modes, and the modes that differ from an exact weight by four errors and by 0.05."""
        if not found.references:
            return [], []
        occupancy, weight = found.occupancy, next(iter(found.references.values()))
        # In a mode without draws the fractions do not vary. The error of a count is a lower bound for their error.
        floor = weight * (1 - weight) / (len(found.fractions) * found.draws)
        own = 0.0 if found.exact else weight * (1 - weight) / found.rows
        error: Float[np.ndarray, " k"] = 4 * np.sqrt(np.maximum(found.se**2, floor) + own)
        gone = (weight >= self.min_weight) & (occupancy < self.missing * weight) & (weight - occupancy > error)
        off = found.exact & ~gone & (abs(weight - occupancy) > np.maximum(error, MIN_DIFFERENCE))
        return np.flatnonzero(gone).tolist(), np.flatnonzero(off).tolist()

    def _reasons(self, found: ModeShares, missing: list[int], off: list[int], chains: Chains) -> list[str]:
        if not found.references:
            return []
        weight = next(iter(found.references.values()))

        def described(k: int) -> str:
            held = f"holds {found.occupancy[k]:.3f} ± {found.se[k]:.3f}"
            return f"{found.names[k]}, weight {weight[k]:.2f}, {held}"

        reasons = [f"{described(k)}: missing" for k in missing[:MAX_LISTED]]
        if len(missing) > MAX_LISTED:
            reasons.append(f"{len(missing) - MAX_LISTED} more modes are missing")
        reasons += [described(k) for k in off[:MAX_LISTED]]
        if missing:
            reasons.append(f"Type {chains.longer(4)}, or start.scale=10 for wider initial states")
        return reasons

    def _modes_missing(self, found: ModeShares, missing: list[int]) -> Estimate:
        if not found.references:
            return refused(f"{NO_REFERENCE}. Add data=NAME")
        numbers = [float(found.numbers[k]) for k in missing]
        # That modes are missing is a fact about these chains; that none is, needs chains that found every mode.
        if missing:
            meaning = f"chains hardly visit {len(missing)} of {len(found.names)} modes (none missing is perfect)"
            return Estimate(numbers, meaning=meaning, if_not_mixed="caution")
        meaning = f"chains visit every mode with a weight of {100 * self.min_weight:.0f} % or more"
        return Estimate(numbers, meaning=meaning, if_not_mixed="refused")


def picture(result: Result) -> Picture:
    """Draw the occupancy of each mode next to its references."""
    from ebm_cli.diagnostic._mode_occupancy_figure import draw

    return draw(*result.arrays)
