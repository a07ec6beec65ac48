"""Effective temperature: the temperature of the states that the chains visit, from ∇E and ΔE."""

import numpy as np

from ebm_cli import check
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._hessian_trace import HessianTrace
from ebm_cli.energy import SMOOTH
from ebm_cli.estimate import Estimate, Picture, Result, all_refused

NAME = "effective_temperature"
# States in all chains together, if there are few chains.
MIN_STATES = 2000
# In units of T: the largest difference and error that are accepted, and a difference that always gets a caution.
ACCEPTED, MAX_ACCEPTED = 0.05, 0.1


class EffectiveTemperature:
    """T_conf = ⟨‖∇E‖²⟩/⟨ΔE⟩, equal to T at equilibrium for any smooth energy that is confining or has a period.

    Rugh, 1997 (Phys. Rev. Lett. 78, 772), in its configurational form (Butler et al., 1998). SGLD on E = a/2·x² gives
    T/(1 − aη/2). ΔE is the exact trace of the Hessian up to 16 dimensions, else Hutchinson's estimate with one random
    sign vector per state. The standard error is a jackknife over chains. Refused if ΔE is 0, for example for piecewise
    linear networks, and if its mean is not clearly positive. `cautions` defines when there is a caution.

    draws: evenly spaced states per chain (≥ 1). If there are few chains, each has more, about 2,000 in total.
    """

    spaces = SMOOTH

    def __init__(self, draws: int) -> None:
        check.count("draws", draws)
        self.draws = draws

    def __call__(self, context: ChainContext) -> Result:
        reason, screened, T = context.lacks(), context.screened, context.temperature
        if reason or screened.usable is None or T is None:
            return all_refused({NAME: None}, reason)
        trace = context.hessian_trace(max(self.draws, MIN_STATES // len(screened.usable.x)))
        if reason := why_undefined(trace):
            return all_refused({NAME: None}, reason)
        value, se = ratio(trace)
        if not np.isfinite([value, se]).all():
            return all_refused({NAME: None}, "‖∇E‖² or ΔE overflow at some states")
        estimate = Estimate(value, se=se, if_not_mixed="caution")
        if T > 0:
            estimate = estimate.with_meaning(f"chains are at {value / T:.3g} times T (1 is perfect)")
        reasons = [*screened.warnings, *cautions(value, se, context)]
        return Result({NAME: estimate.with_caution(reasons)}, (trace.squares / trace.laplacians, value, se, T), picture)


def why_undefined(trace: HessianTrace) -> str:
    """Return why the ratio is undefined; empty if it is defined."""
    laplacians = trace.laplacians
    if not (np.isfinite(trace.squares).all() and np.isfinite(laplacians).all()):
        return "the second derivatives of the energy are not finite at some states"
    if not np.any(laplacians):
        return "ΔE is 0 everywhere: the energy is piecewise linear, so this temperature is undefined"
    mean, error = laplacians.mean(), laplacians.std(ddof=1) / len(laplacians) ** 0.5
    if mean < 4 * error:
        return f"⟨ΔE⟩ = {mean:.3g} ± {error:.2g} is not clearly positive. Increase chains or draws"
    return ""


def ratio(trace: HessianTrace) -> tuple[float, float]:
    """Return ⟨‖∇E‖²⟩/⟨ΔE⟩ and its jackknife standard error over chains."""
    squares, laplacians = trace.squares, trace.laplacians
    count = len(squares)
    without = (squares.sum() - squares) / (laplacians.sum() - laplacians)
    return float(squares.mean() / laplacians.mean()), float(np.sqrt((count - 1) * without.var()))


def cautions(value: float, se: float, context: ChainContext) -> list[str]:
    """Return why value ± se does not show that the chains are at T; empty if it does.

    It does if three conditions hold: the error is at most 5 % of T, the difference is at most 10 % of T, and the
    difference is at most 5 % of T or 4 errors.
    """
    T, chains, smaller = context.temperature or 0.0, context.chains, context.smaller_step()
    if T <= 0:
        return []
    difference, error = abs(value - T) / T, se / T
    numbers = f"{difference:.1%} {'above' if value > T else 'below'} T = {T:g}, with an error of {error:.1%}"
    if difference > min(max(4 * error, ACCEPTED), MAX_ACCEPTED):
        if difference > 4 * error:
            why = "The step size biases the chains, or they are not yet in equilibrium"
            return [f"chains are not at T: {numbers}. {why}. Type {smaller} or {chains.after_burn_in()}"]
        return [f"inconclusive: chains may not be at T, they are {numbers}. Type {chains.longer(4)} or {smaller}"]
    if error > ACCEPTED:
        longer = chains.longer((error / ACCEPTED) ** 2)
        return [f"inconclusive: the error is too large for a comparison with T, {numbers}. Type {longer}"]
    return []


def picture(result: Result) -> Picture:
    """Draw the histogram of the ratio per chain, with T and T_conf."""
    from ebm_cli import figure

    per_chain, value, se, T = result.arrays
    drawn, (axes,) = figure.new(height=3.2)
    axes.hist(per_chain[np.isfinite(per_chain)], bins=30, color=figure.BLUE)
    axes.axvline(T, color=figure.GREEN, linestyle="--", label=f"T = {T:g}")
    axes.axvline(value, color=figure.RED, label=f"T_conf = {value:.3f} ± {se:.3f}")
    axes.set(xlabel="‖∇E‖²/ΔE, ratio of means in each chain", ylabel="chains")
    axes.legend()
    return drawn, (
        f"Configurational temperature of each chain. T_conf = {value:.4f} ± {se:.4f}; T = {T:g}. "
        "Look for two lines at the same place."
    )
