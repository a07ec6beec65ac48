"""Agreement: what chains tell of themselves, each beside the others and its own past beside its present."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import chi2, norm, rankdata

from ebm_cli.chain.chain_file import Chains
from ebm_cli.chain.screening import listed
from ebm_cli.diagnostic import bulk_ess, quantities, rank_r_hat
from ebm_cli.diagnostic.autocorrelation import autocovariance
from ebm_cli.estimate import digits

MIXED = 1.01
APART = 1.1
LEAST_TIMES = 20
WINDOW = 5
DRIFT, LARGE_DRIFT = 0.1, 0.3
CYCLE, CYCLE_OF_ONE = 0.2, 0.5
# Of a false alarm, over all functions of the state that one test looks at.
LEVEL = 1e-3
# Times as long as chains that drift, or of which some stand still for a half, may have to be.
IF_DRIFTING = 2.0
IF_HALTED = 4.0


@dataclass(frozen=True)
class Evidence:
    """What speaks against mixing.

    against: why chains are not mixed. unsure: why it cannot be told. worst: the function with the largest R̂. times: how
    many times as long the chains would have to be, at least, for both to be empty. likely: how many times as long would
    do, going by how far chains differ from each other, which early chains overstate.
    """

    against: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    worst: str = ""
    times: float = 1.0
    likely: float = 1.0


@dataclass(frozen=True)
class Traits:
    """One function of the state over all chains, on the scale of normal scores.

    r_hat: see `rank_r_hat`. limit: what r_hat stays under by chance. tau: integrated
    autocorrelation time within chains, in draws. drift: second half minus first. drift_z: the same in standard
    errors. cycle: autocorrelation left at lags from a quarter to a half of the chains', 0 where chance explains it.
    """

    r_hat: float
    limit: float
    tau: float
    drift: float
    drift_z: float
    cycle: float


def evidence(chains: Chains, smaller: str = "lower sampler.step_size") -> Evidence:
    """What speaks against mixing in sound chains, function by function of the state.

    Four tests, each at a level of 1e-3 over all functions together, so that many coordinates raise no false alarm:
    R̂ (Vehtari et al., 2021, Bayesian Analysis 16, 667) above both the customary bound and what chains of this length
    give by chance; halves that differ; autocorrelation that does not decay; a part of the state that stops moving.
    They rest on times of autocorrelation within chains, which need 20 of them a chain: below, it cannot be told.
    smaller: how a smaller step is typed.
    """
    functions = quantities(chains)
    parted = [name for name, values in functions.items() if np.ptp(values) > 0 and not np.ptp(values, axis=1).any()]
    against = [f"not mixed: {parted[0]} differs between chains and never changes within one"] if parted else []
    varying = {name: values for name, values in functions.items() if np.ptp(values, axis=1).any()}
    if not varying:
        return Evidence(against or ["not mixed: every coordinate is constant within every chain"])
    against += halted(chains, varying, smaller)
    found = {name: traits(values, len(varying)) for name, values in varying.items()}
    worst = max(found, key=lambda name: found[name].r_hat)
    draws = chains.x.shape[1]
    slowest = max(found, key=lambda name: found[name].tau)
    times = draws / found[slowest].tau
    needed = max(LEAST_TIMES / times, IF_HALTED if against else 1.0, IF_DRIFTING if drift_of(found) else 1.0)
    if times >= LEAST_TIMES:
        # Before chains are long R̂ says little of how long they have to be.
        needed = max(needed, *map(excess, found.values()))
    evidence = Evidence(against, [], worst, needed, likely(needed, [varying[worst], varying[slowest]]))
    disagreement(found, worst, evidence, chains)
    if times < LEAST_TIMES:
        evidence.unsure.append(
            f"can't tell: too short, {draws} draws a chain are {times:.0f} times τ of {slowest}, under {LEAST_TIMES}; "
            + chains.longer(evidence.likely)
        )
    drifting(found, evidence, chains)
    cycles = max(found, key=lambda name: found[name].cycle)
    if found[cycles].cycle > 0 and times >= LEAST_TIMES:
        evidence.against.append(
            f"not mixed: {cycles} goes round, its autocorrelation is still {found[cycles].cycle:.2f} after a quarter "
            "of the chains; change sampler.step_size or the sampler"
        )
    return evidence


def likely(needed: float, functions: list[np.ndarray]) -> float:
    """How many times as long chains likely have to be, if more than as long, by the ESS of these functions as well."""
    if needed <= 1:
        return needed
    by_ess = (LEAST_TIMES * len(values) / bulk_ess(values) for values in functions)
    return max([needed, *filter(np.isfinite, by_ess)])


def excess(traits: Traits) -> float:
    """How many times as long chains would have to be for R̂ within the bound: R̂² − 1 falls as 1/length once they mix."""
    if traits.r_hat <= max(MIXED, traits.limit):
        return 1.0
    return (traits.r_hat**2 - 1) / (MIXED**2 - 1)


def disagreement(found: dict[str, Traits], worst: str, evidence: Evidence, chains: Chains) -> None:
    """Add what R̂ says; what is largest may be within chance while another function's is not."""
    beyond = {name: each for name, each in found.items() if each.r_hat > max(MIXED, each.limit)}
    if not beyond:
        return
    name = worst if worst in beyond else max(beyond, key=lambda name: beyond[name].r_hat)
    value = beyond[name].r_hat
    # A table gives one R̂ of a set of chains, the largest; that of another function would be a second one.
    shown = f"R̂ = {digits(value, 4)} of {name}" if name == worst else f"R̂ of {name}"
    remedy = chains.longer(evidence.likely)
    if value > APART:
        remedy += ", or sampler=tempering, which crosses barriers"
        evidence.against.append(f"not mixed: {shown} is above {APART:g}; {remedy}")
    else:
        evidence.unsure.append(f"can't tell: {shown} is above {MIXED:g}; {remedy}")


def drift_of(found: dict[str, Traits]) -> str:
    """The function whose halves differ most, by a tenth of a standard deviation and not by chance; "" for none."""
    bound = float(norm.isf(LEVEL / (4 * len(found))))
    real = {name: abs(each.drift) for name, each in found.items() if abs(each.drift_z) > bound}
    name = max(real, key=lambda name: real[name], default="")
    return name if name and real[name] >= DRIFT else ""


def drifting(found: dict[str, Traits], evidence: Evidence, chains: Chains) -> None:
    """Add what the halves say."""
    name = drift_of(found)
    if not name:
        return
    size = abs(found[name].drift)
    what = f"{name} drifts by {size:.2f} standard deviations between the halves of the chains; {chains.after_burn_in()}"
    if size > LARGE_DRIFT:
        evidence.against.append(f"not mixed: {what}")
    else:
        evidence.unsure.append(f"can't tell: {what}")


def halted(chains: Chains, varying: dict[str, np.ndarray], smaller: str) -> list[str]:
    """Chains that stay put over a whole half, in one coordinate or all, more often than their stays explain."""
    for name, values in varying.items():
        half = values.shape[1] // 2
        stays = (values[:, 1:] == values[:, :-1]).mean(1)
        chance = len(values) * len(varying) * np.median(stays) ** (half - 1)
        put = (np.ptp(values[:, :half], axis=1) == 0) | (np.ptp(values[:, -half:], axis=1) == 0)
        if half > 1 and put.any() and chance < LEVEL:
            names = chains.names or list(range(len(values)))
            which = listed([names[i] for i in np.flatnonzero(put)])
            return [f"not mixed: {which} did not move in {name} for half of the draws; {smaller}"]
    return []


def scores(values: Float[np.ndarray, "chain draw"]) -> Float[np.ndarray, "chain draw"]:
    """Normal scores Φ⁻¹((rank − 3/8)/(S + 1/4)) over all draws (Blom, 1958), so that any tail has moments."""
    ranks = rankdata(values, method="average").reshape(values.shape)
    return ndtri((ranks - 0.375) / (values.size + 0.25))


def traits(values: Float[np.ndarray, "chain draw"], functions: int) -> Traits:
    """The traits of one function out of `functions`: of its normal scores, and of those of its distance from the
    median, whichever is worse; R̂ is that of the row r_hat_max."""
    folded = np.abs(values - np.median(values))
    r_hat = rank_r_hat(values)
    r_hat = r_hat if np.isfinite(r_hat) else 1.0
    both = [_traits(scores(each), functions, r_hat) for each in (values, folded) if np.ptp(each) > 0]
    drift = max(both, key=lambda each: abs(each.drift_z))
    return Traits(
        r_hat,
        max(each.limit for each in both),
        max(each.tau for each in both),
        drift.drift,
        drift.drift_z,
        max(each.cycle for each in both),
    )


def _traits(z: Float[np.ndarray, "chain draw"], functions: int, r_hat: float) -> Traits:
    chains, draws = z.shape
    half = draws // 2
    centred = z - z.mean(1, keepdims=True)
    within = float(centred.var()) or 1e-300
    covariance = autocovariance(centred, most=max(2, half))
    tau = time_within(covariance, draws)
    difference = z[:, -half:].mean(1) - z[:, :half].mean(1)
    by_time = np.sqrt(4 * tau * within / (draws * chains))
    by_chain = difference.std(ddof=1) / chains**0.5
    drift = float(difference.mean())
    return Traits(
        r_hat=r_hat,
        limit=chance_limit(chains, draws, tau, functions),
        tau=tau,
        drift=drift,
        drift_z=drift / max(float(by_time), float(by_chain), 1e-12),
        cycle=cycle(covariance),
    )


def time_within(covariance: Float[np.ndarray, "chain lags"], draws: int) -> float:
    """τ within chains by Sokal's window; at least 1, so that chains that swing to and fro are not called fast.

    Values around a chain's own mean have a covariance that is too low by that mean's variance, τ/draws times the
    value at lag 0, which is added again until τ settles.
    """
    plain = covariance.sum(0) / covariance[:, 0].sum()
    tau = 1.0
    for _ in range(4):
        lost = min(tau / draws, 0.5)
        times = 2 * np.cumsum((plain + lost) / (1 + lost)) - 1
        far = np.flatnonzero(np.arange(len(times)) >= WINDOW * np.maximum(times, 1))
        tau = max(float(times[far[0] if len(far) else -1]), 1.0)
    return tau


def chance_limit(chains: int, draws: int, tau: float, functions: int) -> float:
    """R̂ that split chains of one law stay under with probability 1 − 1e-3 over all functions.

    R̂² = (n − 1)/n + B/W with n draws a half-chain, W the variance within; for normal values B·n/(τW) is χ² over its
    degrees of freedom, 2·chains − 1, and W falls short of the law's variance by the share τ/n.
    """
    n, freedom = draws // 2, 2 * chains - 1
    share = min(tau / n, 0.5)
    largest = chi2.isf(LEVEL / (2 * functions), freedom) / freedom
    return float(np.sqrt((n - 1) / n + largest * share / (1 - share)))


def cycle(covariance: Float[np.ndarray, "chain lags"]) -> float:
    """The largest |ρ| at late lags, of all chains together or of one, where it is both large and no chance.

    By chance ρ at lag t has variance Σρ²/(draws − t) beyond the time of autocorrelation (Bartlett, 1946); the sum runs
    over early lags alone, as those of a cycle would count as chance.
    """
    chains, lags = covariance.shape
    late = covariance[:, lags // 2 :]
    rho = covariance.sum(0) / covariance[:, 0].sum()
    spread = np.sqrt((2 * np.sum(rho[: max(2, lags // 16)] ** 2) - 1) / lags)
    together = np.abs(rho[lags // 2 :]).max()
    alone = (np.abs(late).max(1) / np.maximum(covariance[:, 0], 1e-300)).max()
    found = 0.0
    if together > max(CYCLE, 5 * spread / chains**0.5):
        found = float(together)
    if alone > max(CYCLE_OF_ONE, 6 * spread):
        found = max(found, float(alone))
    return found
