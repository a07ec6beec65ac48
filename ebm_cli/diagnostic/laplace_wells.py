"""Laplace wells: masses and widths of wells over temperature, predicted from each minimum and measured."""

import numpy as np
from jaxtyping import Float
from torch import nn

from ebm_cli import check
from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._laplace_mass import MIN_EFFECTIVE, TemperatureScan, WeightedModeEstimates, importance_estimates
from ebm_cli.diagnostic._laplace_search import Wells, find_wells
from ebm_cli.energy import CONTINUOUS
from ebm_cli.estimate import Estimate, IfNotMixed, Picture, Result, all_refused, refused
from ebm_cli.wells.descent import states_of
from ebm_cli.wells.modes import mode_fractions

UNITS = {"laplace_occupancy": None, "laplace_width": None, "laplace_departure": None}
MAX_DRAWS_PER_CHAIN = 20


class LaplaceWells:
    """massᵢ ∝ exp(−Eᵢ/T)·(2πT)^{d/2}·det(Hᵢ)^{−½} and covariance T·Hᵢ⁻¹ at each minimum i, over a sweep of T.

    Laplace, 1774; exact as T → 0, with an error of order T if wells are not quadratic. The masses are compared with
    quadrature over basins (up to three dimensions) and with importance sampling. For the latter, independent draws from
    Gaussians at the minima and from one broad Gaussian are weighted by exp(−E/T)/q. These draws need no mixing. The
    error of a fraction p is √Σ w̃²(1ₖ − p)² and its bias is of order 1/effective draws (Hesterberg, 1995).
    `laplace_width` is ⟨(x − xᵢ)ᵀHᵢ(x − xᵢ)⟩/(dT) in mode i at the run's T; it is 1 if Laplace's formula is exact.
    `laplace_departure` is the lowest T of the sweep at which the error of a fraction exceeds `tolerance` and four
    standard errors; an empty list if the formula holds at every T. Minima are found by descent from the chains' draws
    and training rows, or on a grid. Above three dimensions a minimum is missed if neither draws nor rows are near it.

    temperatures: multiples of the run's T (> 0).
    barrier: minima separated by a lower one are one mode, in T (> 0).
    draws: importance draws at each T (≥ 100).
    tolerance: accepted error of a fraction (in [0, 1]).
    """

    spaces = CONTINUOUS

    def __init__(self, temperatures: float | list[float], barrier: float, draws: int, tolerance: float) -> None:
        multiples = temperatures if isinstance(temperatures, list) else [temperatures]
        if not multiples:
            raise check.InputError("temperatures must be multiples of T, got none")
        for multiple in multiples:
            check.positive("temperatures", multiple)
        check.positive("barrier", barrier)
        check.count("draws", draws, minimum=MIN_EFFECTIVE)
        check.fraction("tolerance", tolerance)
        self.temperatures = sorted({1.0, *map(float, multiples)})
        self.barrier = barrier
        self.draws = draws
        self.tolerance = tolerance

    def __call__(self, context: ChainContext) -> Result:
        reason = context.lacks("wells have no mass")
        energy, T, chains = context.energy, context.temperature, context.screened.usable
        if reason or energy is None or T is None or chains is None:
            return all_refused(UNITS, reason)
        highest = T * self.temperatures[-1]
        wells = find_wells(energy, chains, context.data, self.barrier, (T, highest))
        if isinstance(wells, str):
            return all_refused(UNITS, wells)
        scan = self._scan(energy, T, wells, chains)
        return Result(self._estimates(scan, context.screened.warnings), scan, picture)

    def _scan(self, energy: nn.Module, T: float, wells: Wells, chains: Chains) -> TemperatureScan:
        temperatures = [multiple * T for multiple in self.temperatures]
        predicted = [wells.predicted(each) for each in temperatures]
        measured = [importance_estimates(energy, wells, each, self.draws) for each in temperatures]
        exact = [wells.exact(each) for each in temperatures]
        errors = [excess(*each, self.tolerance) for each in zip(predicted, measured, exact, strict=True)]
        run_index, visits = self.temperatures.index(1.0), occupancy(energy, wells, chains, T)
        return TemperatureScan(wells, temperatures, run_index, predicted, measured, visits, errors, self.tolerance)

    def _estimates(self, scan: TemperatureScan, warnings: list[str]) -> dict[str, Estimate]:
        measured, reasons = scan.measured[scan.run_index], list(warnings)
        if (scan.errors[scan.run_index] or 0) > 0:
            off = f"Laplace is off by more than {self.tolerance:g} at T = {scan.temperatures[scan.run_index]:g}"
            reasons.append(f"{off}: wells are not quadratic")
        collapsed = (
            f"importance weights collapsed ({measured.effective:.0f} effective of {self.draws} draws), so nothing "
            "measures how far Laplace is off. Increase diagnostic.laplace_wells.draws"
        )
        widths, departure = refused(collapsed), refused(collapsed)
        if measured.is_reliable and np.isfinite(measured.width).all():
            widths = Estimate(measured.width.tolist(), se=measured.width_se.tolist()).with_caution(warnings)
        if any(error is not None for error in scan.errors):
            departure = Estimate(scan.breakdown).with_caution(warnings)
        # Without a grid, only minima near the chains' draws are found.
        flag: IfNotMixed = "caution" if scan.wells.basins is None else "kept"
        fractions = Estimate(scan.predicted[scan.run_index].tolist(), if_not_mixed=flag).with_caution(reasons)
        return {"laplace_occupancy": fractions, "laplace_width": widths, "laplace_departure": departure}


def excess(
    predicted: Float[np.ndarray, " k"],
    measured: WeightedModeEstimates,
    exact: Float[np.ndarray, " k"] | None,
    tolerance: float,
) -> float | None:
    """Return by how much the error of the worst fraction exceeds the tolerance; None if nothing measures it."""
    if exact is not None:
        return float(abs(predicted - exact).max() - tolerance)
    if not measured.is_reliable:
        return None
    return float((abs(predicted - measured.fraction) - np.maximum(4 * measured.fraction_se, tolerance)).max())


def occupancy(
    energy: nn.Module, wells: Wells, chains: Chains, temperature: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return the chains' own fractions and their standard errors over chains, from at most 20 draws per chain."""
    count, few = len(chains.x), chains.thinned(MAX_DRAWS_PER_CHAIN)
    mode = wells.assign(energy, states_of(energy, few.reshape(-1, *chains.event)), temperature).reshape(count, -1)
    fractions = mode_fractions(mode, len(wells.modes))
    return fractions.mean(0), fractions.std(0, ddof=1) / count**0.5


def picture(result: Result) -> Picture:
    """Draw fractions and widths over temperature."""
    from ebm_cli.diagnostic._laplace_wells_figure import draw

    return draw(result.arrays)
