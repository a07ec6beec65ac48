"""Distance to the truth, in one or two dimensions or of discrete states: the model's density next to the data's."""

import math

from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import KnownDensity, _angles
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.metric import EvaluationContext
from ebm_cli.metric._density_grid import Box, densities
from ebm_cli.metric._state_probabilities import state_log_probabilities, too_many_states

UNITS = {"kl": "nats", "tv": None}
MAX_OUTSIDE_MASS = 1e-4
MAX_DISAGREEMENT = 0.01
# Half-widths of the boxes that are tried, in half-ranges of the data.
FACTORS = (1.3, 2.0, 4.0, 8.0, 15.0, 30.0)
NO_BOX = "no box up to 30 times the data's range contains the model's mass. Increase energy.confinement"


class DistanceToTruth:
    """kl = ∫ p log(p/q) dx in nats and tv = ½∫ |p − q| dx, p the data's density, q = exp(−E/T)/Z.

    In one or two dimensions both are computed by the midpoint rule on a square grid around the data. The grid grows
    until it contains all but 0.01 % of the model's mass; for angles it is the whole of [−π, π). lower and upper are the
    values at half and at full resolution. Refused if the two values of tv differ by more than 0.01, or if no box
    contains the model. For discrete states they are exact sums over all states, of up to 20 bits. No chains are run.

    resolution: cells per side (≥ 32).
    """

    needs_samples = False

    def __init__(self, resolution: int) -> None:
        check.count("resolution", resolution, minimum=32)
        self.resolution = resolution

    def __call__(self, context: EvaluationContext) -> Result:
        check_applies(context)
        if space_of(context.energy) in DISCRETE:
            return compare_states(context, Sites(space_of(context.energy), context.event))
        box = box_of(context)
        if box is None:
            return all_refused(UNITS, NO_BOX)
        p, q, cell, _ = densities(context, box, self.resolution)
        coarse_p, coarse_q, coarse_cell, _ = densities(context, box, self.resolution // 2)
        kl, tv = zip(divergence(p, q, cell), divergence(coarse_p, coarse_q, coarse_cell), strict=True)
        if abs(tv[0] - tv[1]) > MAX_DISAGREEMENT:
            disagree = f"two resolutions disagree, tv {tv[0]:.3f} and {tv[1]:.3f}"
            return all_refused(UNITS, f"{disagree}. Increase metric.distance_to_truth.resolution")
        estimates = {
            "kl": Estimate(kl[0], lower=min(kl), upper=max(kl), unit="nats", meaning=meaning_of_kl(kl[0])),
            "tv": Estimate(tv[0], lower=min(tv), upper=max(tv), meaning=meaning_of_tv(tv[0])),
        }
        return Result(estimates, (context, p, q.exp(), box, self.resolution), picture)


def compare_states(context: EvaluationContext, sites: Sites) -> Result:
    """Return both distances between the probabilities of all states; refused for too many of them."""
    if reason := too_many_states(sites):
        return all_refused(UNITS, reason)
    log_p, log_q = state_log_probabilities(context, sites)
    kl, tv = divergence(log_p.exp(), log_q, 1.0)
    estimates = {
        "kl": Estimate(kl, unit="nats", meaning=meaning_of_kl(kl)),
        "tv": Estimate(tv, meaning=meaning_of_tv(tv)),
    }
    return Result(estimates, (log_p, log_q), states_picture)


def meaning_of_kl(kl: float) -> str:
    """Return what a divergence means."""
    return f"a data point is {kl:.2g} nats less likely under the model than it could be (0 is perfect)"


def meaning_of_tv(tv: float) -> str:
    """Return what a total variation means."""
    return f"model and data differ in {100 * tv:.2g} % of their mass (0 % is perfect)"


def check_applies(context: EvaluationContext) -> None:
    """Raise InputError unless the data have a known density, T > 0, and few dimensions if states are continuous."""
    data, is_discrete = context.data, space_of(context.energy) in DISCRETE
    if data is None or not isinstance(data, KnownDensity):
        example = "patterns" if is_discrete else "gaussians_8"
        raise InputError(f"needs data whose density is known: a synthetic set such as data={example}")
    if not is_discrete and (len(data.event) != 1 or data.event[0] > 2):
        raise InputError(f"works in one or two dimensions, got event={list(data.event)}")
    if context.temperature == 0:
        raise InputError("needs temperature > 0: at 0 the model is a point")


def box_of(context: EvaluationContext) -> Box | None:
    """Return the sides of the smallest box that contains data and model; None if no box does."""
    assert context.held_out is not None
    if space_of(context.energy) == _angles.SPACE:
        return [(-math.pi, math.pi)] * context.event[0]
    x = context.held_out.x
    center, half = (x.amax(0) + x.amin(0)) / 2, (x.amax(0) - x.amin(0)) / 2
    for factor in FACTORS:
        box, wide = (
            [(float(m - times * factor * h), float(m + times * factor * h)) for m, h in zip(center, half, strict=True)]
            for times in (1, 2)
        )
        _, log_q, cell, outer = densities(context, wide, 256)
        if float(log_q[outer].exp().sum() * cell) < MAX_OUTSIDE_MASS:
            return box
    return None


def divergence(p: Float[Tensor, " cells"], log_q: Float[Tensor, " cells"], cell: float) -> tuple[float, float]:
    """Return KL(p‖q) and TV(p, q) on a grid; p is renormalized over it."""
    p = p / (p.sum() * cell)
    inside = p > 0
    kl = (p[inside] * (p[inside].log() - log_q[inside])).sum() * cell
    return float(kl), float(0.5 * (p - log_q.exp()).abs().sum() * cell)


def picture(result: Result) -> Picture:
    """Draw both densities: next to each other in the plane, over each other in one dimension."""
    from ebm_cli.metric._distance_to_truth_figure import draw

    kl, tv = (result.estimates[name].value for name in UNITS)
    return draw(*result.arrays), (
        f"Density of the data (left) and of the model (right): tv {tv:.3f}, kl {kl:.3f} nats. Look for no visible "
        "difference."
    )


def states_picture(result: Result) -> Picture:
    """Draw the probability of each state under the model and under the data."""
    from ebm_cli.metric._distance_to_truth_figure import draw_states

    kl, tv = (result.estimates[name].value for name in UNITS)
    return draw_states(*result.arrays), (
        f"Probability of each state under the model and under the data: tv {tv:.3f}, kl {kl:.3f} nats. States that one "
        "of them excludes are at its edge. Look for points on the line."
    )
