"""Thermodynamic integration: log Z as the integral of the mean of ΔU along the path."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.bracket import MAX_WIDTH, REMEDY, BracketResult
from ebm_cli.partition.log_weights import bound_quantile, standard_error, student_factor

SegmentMeans = tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K n"]]


def thermodynamic_integral(
    betas: Float[np.ndarray, " K"], delta_u: Float[np.ndarray, "draw K n"], mixing: Estimate
) -> BracketResult:
    """Return log Z = ∫₀¹ ⟨ΔU⟩_β dβ, ΔU = U₀ − U, by the trapezoid rule with the correction of slopes, in nats.

    Kirkwood, 1935; Gelman and Meng, 1998 (Stat. Sci. 13, 163), eq. 10. Between temperatures h apart the integral of
    D = ⟨ΔU⟩_β is h(D₀ + D₁)/2 + h²(D₀' − D₁')/12, with the slope D' = Var_β ΔU ≥ 0. Since D never falls, h·D₀ is a
    lower and h·D₁ an upper bound: they are the bracket, each moved outward by Student's quantile of its error over
    ladders. The error of the value is that over ladders, combined with a fifteenth of the change when every other
    temperature is left out. Refused if the chains are not mixed.

    betas: rising from 0 to 1.
    delta_u: of n independent ladders.
    mixing: the verdict on the chains.
    """
    if mixing.verdict == "refused":
        return BracketResult(refused(f"no thermodynamic integral: {mixing.reason}", "nats"))
    if not np.isfinite(delta_u).all():
        return BracketResult(
            refused(
                "thermodynamic integration failed: at some temperatures, chains reached states with non-finite energy "
                "or left the box",
                "nats",
            )
        )
    mean, slope = delta_u.mean(0), delta_u.var((0, 2))
    each, half = corrected_trapezoid(betas, mean, slope), every_other(betas)
    rough = each.mean() - corrected_trapezoid(betas[half], mean[half], slope[half]).mean()
    value, se = float(each.mean()), float(np.hypot(student_factor(len(each)) * standard_error(each), rough / 15))
    lower, upper, gap = integration_bounds([(betas, mean)])
    summary = f"{len(betas)} temperatures, {len(each)} ladders of {len(delta_u)} steps"
    cautions = list(mixing.reasons) if mixing.verdict == "caution" else []
    reasons = (summary,) if cautions else (summary, *mixing.reasons)
    if upper - lower > MAX_WIDTH:
        cautions.append(f"the bounds are {upper - lower:.3g} nats apart: {REMEDY}")
    estimate = Estimate(value, se=se, lower=lower, upper=upper, unit="nats", reasons=reasons).with_caution(cautions)
    return BracketResult(estimate, gap)


def integration_bounds(segments: Sequence[SegmentMeans]) -> tuple[float, float, float]:
    """Return the bounds, each moved outward by Student's quantile of its error, and their distance before that.

    segments: β and, at each β, the mean of ΔU of each ladder, for every segment of the path. Their integrals add up.
    """
    below = sum(np.diff(betas) @ mean[:-1] for betas, mean in segments)
    above = sum(np.diff(betas) @ mean[1:] for betas, mean in segments)
    assert isinstance(below, np.ndarray) and isinstance(above, np.ndarray)
    q = bound_quantile(len(below))
    lower = float(below.mean() - q * standard_error(below))
    upper = float(above.mean() + q * standard_error(above))
    return lower, upper, float((above - below).mean())


def corrected_trapezoid(
    betas: Float[np.ndarray, " K"], mean: Float[np.ndarray, "K n"], slope: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " n"]:
    """Return the integral for each ladder."""
    h = np.diff(betas)
    return h @ (mean[1:] + mean[:-1]) / 2 + float(h**2 @ (slope[:-1] - slope[1:])) / 12


def every_other(betas: Float[np.ndarray, " K"]) -> list[int]:
    """Return the numbers of every other temperature, the first and last included."""
    return sorted({*range(0, len(betas), 2), len(betas) - 1})
