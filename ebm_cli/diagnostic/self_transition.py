"""Self-transition probability: the fraction of steps in which a chain stays in its state."""

import numpy as np
from jaxtyping import Float

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.screening import MIN_DRAWS, finite_chains, join_chain_names
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, Picture, Result, all_refused

NAME = "self_transition"
CAUTION_ABOVE = 0.9


class SelfTransition:
    """P(x_{t+1} = x_t) = Σᵢ πᵢ P_ii over kernel steps t.

    For kernels with one test in each step it is the mean of 1 − acceptance over all steps, for any thinning. For other
    kernels, and without an acceptance, it is the fraction of consecutive draws that are equal; refused if draws are
    several steps apart. It is 0 for unadjusted kernels on a continuous space. The standard error is over chains.
    Caution above 0.9.
    """

    def __call__(self, context: ChainContext) -> Result:
        screened, chains = context.screened, context.chains
        if chains.x.shape[1] < MIN_DRAWS:
            return all_refused({NAME: None}, screened.error)
        equal = equal_draws(chains)
        stays = stay_probability(context, equal)
        if stays is None:
            what = "an acceptance rate" if chains.acceptance is None else "a kernel with one test in each step"
            between = f"draws are {chains.thin} kernel steps apart and the chains lack {what}"
            return all_refused({NAME: None}, f"{between}, so stays between draws are unknown. Type thin=1")
        finite = finite_chains(chains)
        kept = stays[finite & (equal < 1) & np.isfinite(stays)]
        if len(kept) < 2:
            stuck = [chains.numbers()[i] for i in np.flatnonzero(finite & (equal == 1))]
            reason = f"{join_chain_names(stuck)} never moved. Type {context.smaller_step()}" if stuck else ""
            return all_refused({NAME: None}, reason or screened.error or "fewer than 2 usable chains")
        value, se = float(kept.mean()), float(kept.std(ddof=1) / len(kept) ** 0.5)
        reasons = list(screened.warnings)
        if value > CAUTION_ABOVE:
            stay = f"chains stay in place in more than {CAUTION_ABOVE:.0%} of their steps"
            reasons.append(f"{stay}. Type {context.smaller_step()}")
        meaning = f"a chain stays in its state in {100 * value:.1f} % of its kernel steps"
        estimate = Estimate(value, se=se, meaning=meaning, if_not_mixed="caution").with_caution(reasons)
        # Chains that always move need no picture.
        drawn = picture if stays[finite].any() else None
        return Result({NAME: estimate}, np.where(finite, stays, 0), drawn)


def equal_draws(chains: Chains) -> Float[np.ndarray, " chain"]:
    """Return the fraction of consecutive draws of each chain that are equal."""
    flat = chains.flat()
    return (flat[:, 1:] == flat[:, :-1]).all(2).mean(1)


def stay_probability(context: ChainContext, equal: Float[np.ndarray, " chain"]) -> Float[np.ndarray, " chain"] | None:
    """Return the fraction of kernel steps in which each chain stays; None if it is unknown.

    equal: the fraction of consecutive draws that are equal.
    """
    chains = context.chains
    one_test = chains.test_per_step or getattr(context.sampler, "test_per_step", False) is True
    if one_test and chains.acceptance is not None:
        return 1 - chains.acceptance.mean(1)
    return equal if chains.thin == 1 else None


def picture(result: Result) -> Picture:
    """Draw a bar per chain."""
    from ebm_cli import figure

    stays, estimate = result.arrays, result.estimates[NAME]
    drawn, (axes,) = figure.new(height=3.0)
    axes.bar(range(len(stays)), stays, color=figure.BLUE, width=1.0)
    axes.set(xlabel="chain", ylabel="fraction of kernel steps that stay", ylim=(0, 1))
    return drawn, (
        f"Fraction of kernel steps in which each chain stays. The mean is {estimate.value:.4f} ± {estimate.se:.4f}. "
        "Look for bars of equal height, well below 1."
    )
