"""Thermodynamic integration: log Z as the integral of the mean drive along the path."""

import numpy as np
from jaxtyping import Float

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.bracket import WIDE, Bracketed, as_normal, quantile, spread_of_mean


def integrated(betas: Float[np.ndarray, " K"], drives: Float[np.ndarray, "draw K n"], mixing: Estimate) -> Bracketed:
    """log Z = ∫₀¹ ⟨D⟩_β dβ, D = U₀ − U, by the trapezoid rule with the slopes' correction; in nats.

    Kirkwood, 1935; Gelman and Meng, 1998 (Stat. Sci. 13, 163), eq. 10. Between two rungs h apart the integral is
    h(D₀ + D₁)/2 + h²(D₀' − D₁')/12, with the slope D' = Var_β D ≥ 0. As ⟨D⟩_β never falls, h·D₀ is below it and h·D₁
    above: that is the bracket, each end moved out by Student's quantile of its error over ladders. Error of the value:
    that over ladders, beside a fifteenth of what every other rung left out would change. All of it rests on chains
    that are mixed: refused where they are not.

    betas: rising from 0 to 1. drives: of n independent ladders.
    """
    if mixing.verdict == "refused":
        return Bracketed(refused(f"no integral: {mixing.reason}", "nats"))
    if not np.isfinite(drives).all():
        return Bracketed(
            refused("no integral: some rungs come to states of no finite energy or outside of the box", "nats")
        )
    mean, slope = drives.mean(0), drives.var((0, 2))
    each = corrected(betas, mean, slope)
    rough = each.mean() - corrected(betas[odd(betas)], mean[odd(betas)], slope[odd(betas)]).mean()
    value, se = float(each.mean()), float(np.hypot(as_normal(len(each)) * spread_of_mean(each), rough / 15))
    below, above = (np.diff(betas) @ part for part in (mean[:-1], mean[1:]))
    q = quantile(len(each))
    lower = float(below.mean() - q * spread_of_mean(below))
    upper = float(above.mean() + q * spread_of_mean(above))
    said = f"{len(betas)} rungs, {len(each)} ladders of {len(drives)} steps"
    doubts = list(mixing.reasons) if mixing.verdict == "caution" else []
    reasons = (said,) if doubts else (said, *mixing.reasons)
    if upper - lower > WIDE:
        doubts.append(f"the ends are {upper - lower:.3g} nats apart: raise temperatures or budget")
    estimate = Estimate(value, se=se, lower=lower, upper=upper, unit="nats", reasons=reasons).with_caution(doubts)
    return Bracketed(estimate, float((above - below).mean()))


def corrected(
    betas: Float[np.ndarray, " K"], mean: Float[np.ndarray, "K n"], slope: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " n"]:
    """The rule for each ladder."""
    h = np.diff(betas)
    return h @ (mean[1:] + mean[:-1]) / 2 + float(h**2 @ (slope[:-1] - slope[1:])) / 12


def odd(betas: Float[np.ndarray, " K"]) -> list[int]:
    """Every other rung, both ends kept."""
    return sorted({*range(0, len(betas), 2), len(betas) - 1})
