"""Statistics of one function of the state over all chains, from which convergence is decided."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from ebm_cli.chain.quantities import normal_scores
from ebm_cli.chain.superchains import LEVEL
from ebm_cli.diagnostic._integrated_time import autocovariance, windowed_time

# Multiples of τ to sum.
WINDOW = 5
# Smallest late autocorrelation that counts as a cycle, of all chains together and of one chain.
MIN_CYCLE, MIN_CYCLE_OF_ONE = 0.2, 0.5
# Active draws of a chain without which its autocorrelation is not examined for a cycle.
MIN_ACTIVE_DRAWS = 20


@dataclass(frozen=True)
class ChainStatistics:
    """One function of the state over all chains, in normal scores.

    r_hat: R̂ of the function (`rank_r_hat`).
    limit: the bound that r_hat exceeds by chance with probability 1e-3.
    tau: integrated autocorrelation time within chains, in draws.
    drift: mean of the second half minus mean of the first half.
    drift_z: drift in standard errors.
    cycle: largest autocorrelation at lags from a quarter to a half of the chain length, 0 if chance explains it.
    """

    r_hat: float
    limit: float
    tau: float
    drift: float
    drift_z: float
    cycle: float


def chain_statistics(values: Float[np.ndarray, "chain draw"], functions: int, r_hat: float) -> ChainStatistics:
    """Return the worse of two results: for normal scores of the values, and of their distances from the median.

    functions: number of functions of the state that are examined together.
    """
    folded = np.abs(values - np.median(values))
    both = [_of_scores(normal_scores(each), functions, r_hat) for each in (values, folded) if np.ptp(each) > 0]
    drift = max(both, key=lambda each: abs(each.drift_z))
    return ChainStatistics(
        r_hat,
        max(each.limit for each in both),
        max(each.tau for each in both),
        drift.drift,
        drift.drift_z,
        max(each.cycle for each in both),
    )


def _of_scores(z: Float[np.ndarray, "chain draw"], functions: int, r_hat: float) -> ChainStatistics:
    chains, draws = z.shape
    half = draws // 2
    centered = z - z.mean(1, keepdims=True)
    within = float(centered.var()) or 1e-300
    covariance = autocovariance(centered, max(2, half))
    # Oscillating chains have τ < 1, but are not fast.
    tau = max(windowed_time(covariance, draws, WINDOW).tau, 1.0)
    difference = z[:, -half:].mean(1) - z[:, :half].mean(1)
    by_time = np.sqrt(4 * tau * within / (draws * chains))
    by_chain = difference.std(ddof=1) / chains**0.5
    drift = float(difference.mean())
    return ChainStatistics(
        r_hat=r_hat,
        limit=chance_limit(chains, draws, tau, functions),
        tau=tau,
        drift=drift,
        drift_z=drift / max(float(by_time), float(by_chain), 1e-12),
        cycle=cycle(covariance, active_draws(z)),
    )


def chance_limit(chains: int, draws: int, tau: float, functions: int) -> float:
    """Return the bound below which R̂ of mixed chains is with probability 1 − 1e-3, for all functions together.

    R̂² = (n − 1)/n + B/W with n draws per half-chain, B the variance between half-chains and W the variance within. For
    normal values B·n/(τW) is χ² divided by its degrees of freedom, 2·chains − 1, and W is smaller than the
    distribution's variance by the fraction τ/n.
    """
    n, freedom = draws // 2, 2 * chains - 1
    fraction = min(tau / n, 0.5)
    largest = chi2.isf(LEVEL / (2 * functions), freedom) / freedom
    return float(np.sqrt((n - 1) / n + largest * fraction / (1 - fraction)))


def active_draws(z: Float[np.ndarray, "chain draw"]) -> Float[np.ndarray, " chain"]:
    """Return the number of draws that make up each chain's variance, (Σz²)²/Σz⁴ of centered z; 0 for a constant chain.

    It is a third of all draws for a normal distribution, and the number of exceptions if values are nearly all equal,
    as are those of a pixel that is hardly ever 1.
    """
    square = (z - z.mean(1, keepdims=True)) ** 2
    return np.where(np.ptp(z, axis=1) > 0, square.sum(1) ** 2 / np.maximum((square**2).sum(1), 1e-300), 0.0)


def cycle(covariance: Float[np.ndarray, "chain lags"], active: Float[np.ndarray, " chain"]) -> float:
    """Return the largest |ρ| at late lags, over the pooled chains and each chain; 0 if it is small or due to chance.

    Chains with fewer than 20 active draws are left out, because two exceptions are always some lag apart.

    Beyond the autocorrelation time, the estimate of ρ at lag t has variance Σρ²/(draws − t) (Bartlett, 1946). The sum
    is only over early lags, because late lags of a cycle would increase it.
    """
    covariance = covariance[active >= MIN_ACTIVE_DRAWS]
    if not len(covariance):
        return 0.0
    chains, lags = covariance.shape
    late = covariance[:, lags // 2 :]
    rho = covariance.sum(0) / covariance[:, 0].sum()
    std = np.sqrt((2 * np.sum(rho[: max(2, lags // 16)] ** 2) - 1) / lags)
    of_all = np.abs(rho[lags // 2 :]).max()
    of_one = (np.abs(late).max(1) / np.maximum(covariance[:, 0], 1e-300)).max()
    found = 0.0
    if of_all > max(MIN_CYCLE, 5 * std / chains**0.5):
        found = float(of_all)
    if of_one > max(MIN_CYCLE_OF_ONE, 6 * std):
        found = max(found, float(of_one))
    return found
