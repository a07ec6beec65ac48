"""Autocorrelation of chains, and the number of steps until it has decayed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.fft import irfft, next_fast_len, rfft

from ebm_cli import check
from ebm_cli.chain.screening import ScreeningResult
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, Picture, Result, all_refused, refused

NAME, UNITS = "iat_max", {"iat_max": "steps"}
# Multiples of τ per chain below which τ gets a caution, and below which it is refused.
MIN_RELIABLE, MIN_KNOWN = 50, 4
MIN_CHAINS_FOR_JACKKNIFE = 8
MAX_CURVES, MIN_LAGS = 64, 20


@dataclass(frozen=True)
class IatEstimate:
    """An integrated autocorrelation time.

    tau: τ in draws.
    se: its standard error.
    window: largest lag of the sum.
    rho: autocorrelation at each lag.
    """

    tau: float
    se: float
    window: int
    rho: Float[np.ndarray, " lags"]


class Autocorrelation:
    """τ = 1 + 2 Σ_{t=1}^{M} ρ_t, ρ_t the autocorrelation at lag t over all chains, M the smallest lag ≥ window·τ.

    Sokal, 1997 ("Monte Carlo methods in statistical mechanics"), sections 3 and 6. ρ_t pools chains around their
    joint mean, so chains with different means count as correlated. An AR(1) chain has τ = (1 + ρ)/(1 − ρ); truncation
    biases it by about exp(−2·window). The standard error is a jackknife over chains (Sokal's √((4M + 2)/N)·τ for fewer
    than eight). iat_max is the largest τ over coordinates and energy, in kernel steps. Caution below 50 τ per chain.

    window: multiples of τ to sum (> 0, usually 5).
    """

    def __init__(self, window: float) -> None:
        check.positive("window", window)
        self.window = window

    def __call__(self, context: ChainContext) -> Result:
        screened = context.screened
        if screened.usable is None:
            return all_refused(UNITS, screened.error)
        # Constants are left out, because after rounding of their mean they would seem to vary.
        varying = {name: values for name, values in context.quantities.items() if np.ptp(values) > 0}
        times = {name: integrated_time(values, self.window) for name, values in varying.items()}
        times = {name: time for name, time in times.items() if time is not None}
        if not times:
            return all_refused(UNITS, "every coordinate is constant in every chain")
        slowest = max(times, key=lambda name: times[name].tau)
        estimate = in_steps(times[slowest], slowest, screened)
        return Result({NAME: estimate}, (times, slowest, screened.usable.thin), picture)


def in_steps(time: IatEstimate, name: str, screened: ScreeningResult) -> Estimate:
    """Return τ in kernel steps; with a caution, or refused, if chains are short compared with it."""
    chains = screened.usable
    assert chains is not None
    draws = chains.x.shape[1]
    reasons = list(screened.warnings)
    longer = chains.longer(MIN_RELIABLE * time.tau / draws)
    if draws < MIN_KNOWN * time.tau:
        short = f"chains are shorter than {MIN_KNOWN} τ of {name}, so τ is unknown. Type {longer}"
        return refused([*reasons, short], "steps")
    if draws < MIN_RELIABLE * time.tau:
        reasons.append(
            f"{draws} draws per chain are only {draws / time.tau:.0f} times τ of {name} (minimum: {MIN_RELIABLE}), so "
            f"τ may be too small. Type {longer}"
        )
    estimate = Estimate(time.tau * chains.thin, se=time.se * chains.thin, unit="steps", if_not_mixed="caution")
    return estimate.with_caution(reasons)


def autocovariance(values: Float[np.ndarray, "chain draw"], lags: int) -> Float[np.ndarray, "chain lags"]:
    """Return each chain's autocovariance around the mean of all chains, divided by the number of pairs per lag."""
    draws = values.shape[1]
    centered = values - values.mean()
    size = next_fast_len(2 * draws)
    spectrum = rfft(centered, size, axis=1)
    sums = np.asarray(irfft(np.abs(np.asarray(spectrum)) ** 2, size, axis=1))
    return sums[:, :lags] / (draws - np.arange(lags))


def integrated_time(values: Float[np.ndarray, "chain draw"], window: float) -> IatEstimate | None:
    """Return τ of one function of the state; None if it is constant."""
    chains, draws = values.shape
    covariance = autocovariance(values, max(2, draws // 2))
    if not covariance[:, 0].sum() > 0:
        return None
    pooled = covariance.sum(0)
    rho = pooled / pooled[0]
    tau = 2 * np.cumsum(rho) - 1
    far = np.flatnonzero(np.arange(len(tau)) >= window * tau)
    m = int(far[0]) if len(far) else len(tau) - 1
    if chains >= MIN_CHAINS_FOR_JACKKNIFE:
        # Leave one chain out: the ratio of sums is recomputed, the window kept.
        without = pooled - covariance
        each = 2 * without[:, : m + 1].sum(1) / without[:, 0] - 1
        se = float(np.sqrt((chains - 1) * each.var()))
    else:
        se = float(np.sqrt((4 * m + 2) / (chains * draws)) * tau[m])
    return IatEstimate(max(float(tau[m]), 1e-12), se, m, rho)


def picture(result: Result) -> Picture:
    """Draw the autocorrelation of each quantity over the lag; the slowest and the energy stand out."""
    from ebm_cli import figure

    times, slowest, thin = result.arrays
    worst = times[slowest]
    drawn, (axes,) = figure.new()
    shown = min(len(worst.rho), max(MIN_LAGS, 2 * worst.window))
    lags = np.arange(shown) * thin
    for name, time in list(times.items())[:MAX_CURVES]:
        if name not in (slowest, "energy"):
            axes.plot(lags, time.rho[:shown], color=figure.SKY, alpha=0.25, linewidth=0.7)
    if "energy" in times:
        axes.plot(lags, times["energy"].rho[:shown], color=figure.GREEN, linewidth=1.6, label="energy")
    if slowest != "energy":
        axes.plot(lags, worst.rho[:shown], color=figure.RED, linewidth=1.6, label=f"slowest: {slowest}")
    axes.axhline(0, color=figure.BLACK, linewidth=0.8)
    axes.axvline(worst.window * thin, color=figure.BLACK, linewidth=0.8, linestyle=":", label="window")
    axes.set(xlabel="lag in kernel steps", ylabel="autocorrelation ρ")
    axes.legend()
    return drawn, (
        f"Autocorrelation over all chains. The slowest quantity, {slowest}, has τ = {worst.tau * thin:.3g} ± "
        f"{worst.se * thin:.2g} steps. Look for curves that fall to 0 well before the window and stay there."
    )
