"""Effective sample size: how many independent draws the chains are worth."""

import math

from ebm_cli import check, figure
from ebm_cli.chain.chain_file import Chains
from ebm_cli.diagnostic import Patient, bulk_ess, of_each
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding

# ESS a chain that an estimate of the ESS itself needs (Vehtari et al., 2021, section 4).
LEAST_ESS = 25.0


def bulk(chains: Chains) -> dict[str, float]:
    """Bulk ESS of each coordinate and the energy, of all chains together."""
    return of_each(bulk_ess, chains)


def shortage(chains: Chains, least: float) -> float:
    """How many times as long chains would have to be for `least` a chain; ≤ 1 where they are long enough."""
    return least * len(chains.x) / min(bulk(chains).values(), default=math.inf)


class ESS:
    """Bulk ESS, the least over coordinates and energy: rank-normalised, split chains, Geyer's initial sequence.

    Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 4, by ArviZ's function. ess_per_gradient divides by
    the gradient evaluations of the chains that count, burn-in included. Under caution below `least` per chain,
    the bound
    of that paper.

    least: ESS a chain that the estimate itself needs, > 0.
    """

    def __init__(self, least: float) -> None:
        check.positive("least", least)
        self.least = least

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        if screened.good is None:
            return Finding({"ess_bulk_min": refused(screened.fatal), "ess_per_gradient": refused(screened.fatal)})
        chains = screened.good
        values = bulk(chains)
        if not values:
            reason = "ESS is undefined: every coordinate is constant"
            return Finding({"ess_bulk_min": refused(reason), "ess_per_gradient": refused(reason)})
        slowest = min(values, key=lambda name: values[name])
        count = len(chains.x)
        doubts = list(screened.remarks)
        if values[slowest] < self.least * count:
            doubts.append(
                f"ESS of {slowest} is under {self.least:g} a chain ({count} chains), too few to trust it: "
                + chains.longer(self.least * count / values[slowest])
            )
        worth = f"{chains.x.shape[0] * chains.x.shape[1]} draws are worth about {values[slowest]:.0f} independent ones"
        estimates = {
            "ess_bulk_min": Estimate(values[slowest], meaning=worth, if_not_mixed="refused").with_caution(doubts)
        }
        if chains.gradients:
            each = values[slowest] / (chains.gradients * count)
            estimates["ess_per_gradient"] = Estimate(each, if_not_mixed="refused").with_caution(doubts)
        else:
            estimates["ess_per_gradient"] = refused("the file does not say how many gradients its chains cost")
        picture, (axes,) = figure.new()
        figure.spread(axes, values, "bulk ESS")
        axes.axvline(
            self.least * count,
            color=figure.RED,
            linestyle="--",
            label=f"least to trust: {self.least:g} a chain",
        )
        axes.legend()
        caption = (
            f"Bulk effective sample size of each coordinate and the energy; least {values[slowest]:.4g} ({slowest}) of "
            f"{chains.x.shape[0] * chains.x.shape[1]} draws. Good: all to the right of the dashed line."
        )
        return Finding(estimates, picture, caption)
