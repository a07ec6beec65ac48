"""Effective sample size: the number of independent draws with the same error as the chains."""

import math

from ebm_cli import check
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, Picture, Result, all_refused, refused

# ESS per chain that an estimate of the ESS itself needs (Vehtari et al., 2021, section 4).
MIN_ESS_PER_CHAIN = 25.0
UNITS = {"ess_bulk_min": None, "ess_per_gradient": None}


def shortage(context: ChainContext, minimum: float) -> float:
    """Return how many times as long chains must be for `minimum` ESS per chain; ≤ 1 if they are long enough."""
    chains = context.screened.usable
    return minimum * (0 if chains is None else len(chains.x)) / min(context.bulk_ess.values(), default=math.inf)


class ESS:
    """Bulk ESS, the minimum over coordinates and energy: rank-normalized, split chains, Geyer's initial sequence.

    Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 4, by ArviZ's function. ess_per_gradient divides by the
    gradient evaluations of the usable chains, burn-in included. Caution below `min_ess_per_chain`, the bound of that
    paper.

    min_ess_per_chain: ESS per chain that the estimate itself needs (> 0).
    """

    def __init__(self, min_ess_per_chain: float) -> None:
        check.positive("min_ess_per_chain", min_ess_per_chain)
        self.min_ess_per_chain = min_ess_per_chain

    def __call__(self, context: ChainContext) -> Result:
        screened = context.screened
        if screened.usable is None:
            return all_refused(UNITS, screened.error)
        values, chains = context.bulk_ess, screened.usable
        if not values:
            return all_refused(UNITS, "ESS is undefined: every coordinate is constant")
        slowest = min(values, key=lambda name: values[name])
        ess, (count, draws) = values[slowest], chains.x.shape[:2]
        reasons = list(screened.warnings)
        if ess < self.min_ess_per_chain * count:
            longer = chains.longer(self.min_ess_per_chain * count / ess)
            reasons.append(
                f"the ESS of {slowest} is below {self.min_ess_per_chain:g} per chain ({count} chains), so it is not "
                f"reliable. Type {longer}"
            )
        worth = f"{count * draws} draws are worth about {ess:.0f} independent draws"
        estimates = {
            "ess_bulk_min": Estimate(ess, meaning=worth, if_not_mixed="refused").with_caution(reasons),
            "ess_per_gradient": refused("the file does not contain how many gradients its chains took"),
        }
        if chains.gradients:
            each = Estimate(ess / (chains.gradients * count), if_not_mixed="refused")
            estimates["ess_per_gradient"] = each.with_caution(reasons)
        return Result(estimates, (values, slowest, count * draws, self.min_ess_per_chain * count), picture)


def picture(result: Result) -> Picture:
    """Draw the ESS of each quantity."""
    from ebm_cli import figure

    values, slowest, draws, caution_below = result.arrays
    drawn, (axes,) = figure.new()
    figure.plot_values(axes, values, "bulk ESS")
    axes.axvline(caution_below, color=figure.RED, linestyle="--", label=f"reliable from {caution_below:g} on")
    axes.legend()
    return drawn, (
        f"Bulk effective sample size of each coordinate and the energy. The smallest is {values[slowest]:.4g} "
        f"({slowest}) of {draws} draws. Look for values to the right of the dashed line."
    )
