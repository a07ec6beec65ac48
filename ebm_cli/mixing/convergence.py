"""Convergence tests that need only the chains: agreement between chains and stationarity within each chain."""

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.quantities import bulk_ess
from ebm_cli.chain.screening import join_chain_names
from ebm_cli.chain.superchains import LEVEL, NestedRHat
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.r_hat import CAUTION_ABOVE, FAIL_ABOVE
from ebm_cli.estimate import digits
from ebm_cli.mixing._chain_statistics import ChainStatistics, chain_statistics

# Autocorrelation times per chain that the tests need.
MIN_TIMES = 20
# Smallest drift between halves that is inconclusive, and that shows a lack of mixing, in standard deviations.
MIN_DRIFT, FAIL_DRIFT = 0.1, 0.3
# Factors by which chains should be longer if they drift, or if some are stuck for half of their length.
FACTOR_IF_DRIFTING, FACTOR_IF_STUCK = 2.0, 4.0


@dataclass(frozen=True)
class Evidence:
    """The evidence against mixing.

    against: why chains are not mixed.
    inconclusive: why mixing cannot be decided.
    too_short: why the length of chains does not suffice to decide it, unless superchains agree.
    superchains: a sentence if superchains agree with each other; empty otherwise.
    worst: the function with the largest R̂; empty if none varies.
    factor: minimum factor by which the chains must be longer for both lists to be empty.
    likely: factor that is probably enough, by the differences between chains. It is too large for short chains.
    """

    against: list[str] = field(default_factory=list)
    inconclusive: list[str] = field(default_factory=list)
    too_short: list[str] = field(default_factory=list)
    superchains: str = ""
    worst: str = ""
    factor: float = 1.0
    likely: float = 1.0


def evidence(context: ChainContext) -> Evidence:
    """Return the evidence against mixing in the usable chains, over all functions of the state.

    There are four tests: R̂ (Vehtari et al., 2021, Bayesian Analysis 16, 667) is above both the customary bound and its
    range by chance; the halves of the chains differ; the autocorrelation does not decay; a coordinate stops moving.
    Each has a level of 1e-3 over all functions together, to avoid false alarms if there are many coordinates. The tests
    need 20 autocorrelation times per chain; shorter chains are inconclusive. If chains share initial states, nested R̂
    is a fifth test (`NestedRHat`). If it finds that superchains agree, it replaces the length of chains as evidence,
    and nothing else.
    """
    chains, functions = context.screened.usable, context.quantities
    assert chains is not None
    constant = [n for n, values in functions.items() if np.ptp(values) > 0 and not np.ptp(values, axis=1).any()]
    against = [f"not mixed: {constant[0]} differs between chains and never changes within one"] if constant else []
    varying = {name: values for name, values in functions.items() if np.ptp(values, axis=1).any()}
    if not varying:
        return Evidence(against or ["not mixed: every coordinate is constant within every chain"])
    against += check_stuck(chains, varying, context.smaller_step())
    r_hat = context.r_hat()
    found = {n: chain_statistics(values, len(varying), r_hat.get(n, 1.0)) for n, values in varying.items()}
    worst = max(found, key=lambda name: found[name].r_hat)
    slowest = max(found, key=lambda name: found[name].tau)
    times = chains.x.shape[1] / found[slowest].tau
    factor = needed_factor(found, times, bool(against))
    likely = likely_factor(factor, [varying[worst], varying[slowest]])
    nested = context.nested_r_hat
    result = Evidence(against, superchains=describe_agreement(nested), worst=worst, factor=factor, likely=likely)
    check_r_hat(found, worst, result, chains)
    if times < MIN_TIMES:
        result.too_short.append(
            f"inconclusive: chains are too short. {chains.x.shape[1]} draws per chain are only {times:.0f} "
            f"autocorrelation times of {slowest} (minimum: {MIN_TIMES}). Type {chains.longer(result.likely)}"
        )
    check_superchains(nested, result, chains)
    check_drift(found, result, chains)
    if times >= MIN_TIMES:
        check_cycle(found, result)
    return result


def needed_factor(found: dict[str, ChainStatistics], times: float, stuck: bool) -> float:
    """Return the minimum factor by which the chains must be longer.

    times: autocorrelation times per chain.
    """
    factor = max(
        MIN_TIMES / times,
        FACTOR_IF_STUCK if stuck else 1.0,
        FACTOR_IF_DRIFTING if drifting_function(found) else 1.0,
    )
    # R̂ of short chains does not show which length is needed.
    return max(factor, *map(factor_by_r_hat, found.values())) if times >= MIN_TIMES else factor


def likely_factor(factor: float, functions: list[np.ndarray]) -> float:
    """Return the factor by which the chains probably must be longer, from `factor` and the ESS of these functions."""
    if factor <= 1:
        return factor
    by_ess = (MIN_TIMES * len(values) / bulk_ess(values) for values in functions)
    return max([factor, *filter(np.isfinite, by_ess)])


def factor_by_r_hat(found: ChainStatistics) -> float:
    """Return the factor by which the chains must be longer. For mixed chains R̂² − 1 is proportional to 1/length."""
    if found.r_hat <= max(CAUTION_ABOVE, found.limit):
        return 1.0
    return (found.r_hat**2 - 1) / (CAUTION_ABOVE**2 - 1)


def check_r_hat(found: dict[str, ChainStatistics], worst: str, result: Evidence, chains: Chains) -> None:
    """Add the evidence of R̂. Chance may explain the largest R̂, but not the R̂ of another function."""
    beyond = {name: each for name, each in found.items() if each.r_hat > max(CAUTION_ABOVE, each.limit)}
    if not beyond:
        return
    name = worst if worst in beyond else max(beyond, key=lambda name: beyond[name].r_hat)
    value, longer = beyond[name].r_hat, chains.longer(result.likely)
    # A table shows only the largest R̂ of a set of chains. The value for another function would contradict it.
    shown = f"R̂ = {digits(value, 4)} of {name}" if name == worst else f"R̂ of {name}"
    if value > FAIL_ABOVE:
        remedy = f"Type {longer}, or {chains.across_barriers()}"
        result.against.append(f"not mixed: the chains disagree. {shown} is above {FAIL_ABOVE:g}. {remedy}")
    else:
        what = "the chains may still differ"
        result.too_short.append(f"inconclusive: {what}. {shown} is above {CAUTION_ABOVE:g}. Type {longer}")


def describe_agreement(nested: NestedRHat | None) -> str:
    """Return a sentence if superchains agree with each other; empty otherwise."""
    if nested is None or not nested.agree:
        return ""
    value = digits(nested.values[nested.worst], 4)
    return f"{nested.count} groups of {nested.size} chains, each from one initial state, agree (nested R̂ = {value})"


def check_superchains(nested: NestedRHat | None, result: Evidence, chains: Chains) -> None:
    """Add the evidence of nested R̂: superchains whose distributions depend on their initial states."""
    if nested is None or nested.values[nested.worst] <= nested.bounds[nested.worst]:
        return
    value, bound = nested.values[nested.worst], nested.bounds[nested.worst]
    what = f"chains depend on their initial states. Nested R̂ = {digits(value, 4)} of {nested.worst} is above"
    if value > max(FAIL_ABOVE, bound):
        remedy = f"Increase burn_in, or type {chains.across_barriers()}"
        result.against.append(f"not mixed: {what} {max(FAIL_ABOVE, bound):.3g}. {remedy}")
    else:
        result.inconclusive.append(f"inconclusive: {what} {bound:.3f}. Increase burn_in")


def drifting_function(found: dict[str, ChainStatistics]) -> str:
    """Return the function with the largest drift; empty if no drift is significant and above MIN_DRIFT."""
    bound = float(norm.isf(LEVEL / (4 * len(found))))
    real = {name: abs(each.drift) for name, each in found.items() if abs(each.drift_z) > bound}
    name = max(real, key=lambda name: real[name], default="")
    return name if name and real[name] >= MIN_DRIFT else ""


def check_drift(found: dict[str, ChainStatistics], result: Evidence, chains: Chains) -> None:
    """Add a difference between the halves of the chains."""
    name = drifting_function(found)
    if not name:
        return
    size = abs(found[name].drift)
    what = (
        f"{name} drifts by {size:.2f} standard deviations between the halves of the chains, so they have not reached "
        f"equilibrium. Type {chains.after_burn_in()}"
    )
    if size > FAIL_DRIFT:
        result.against.append(f"not mixed: {what}")
    else:
        result.inconclusive.append(f"inconclusive: {what}")


def check_cycle(found: dict[str, ChainStatistics], result: Evidence) -> None:
    """Add an oscillation."""
    name = max(found, key=lambda name: found[name].cycle)
    if found[name].cycle > 0:
        result.against.append(
            f"not mixed: {name} oscillates. Its autocorrelation is still {found[name].cycle:.2f} at a lag of a quarter "
            "of the chain length. Change sampler.step_size or the sampler"
        )


def check_stuck(chains: Chains, varying: dict[str, np.ndarray], smaller: str) -> list[str]:
    """Report chains that stay in place for half of the draws in a coordinate, unless chance explains it.

    Chance explains it if single steps often stay in place.
    """
    for name, values in varying.items():
        half = values.shape[1] // 2
        stays = (values[:, 1:] == values[:, :-1]).mean(1)
        chance = len(values) * len(varying) * np.median(stays) ** (half - 1)
        stuck = (np.ptp(values[:, :half], axis=1) == 0) | (np.ptp(values[:, -half:], axis=1) == 0)
        if half > 1 and stuck.any() and chance < LEVEL:
            which = join_chain_names([chains.numbers()[i] for i in np.flatnonzero(stuck)])
            return [f"not mixed: {which} did not move in {name} for half of the draws. Type {smaller}"]
    return []
