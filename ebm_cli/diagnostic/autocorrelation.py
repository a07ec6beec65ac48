"""Autocorrelation of chains, and how many steps they take to forget."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.fft import irfft, next_fast_len, rfft

from ebm_cli import check, figure
from ebm_cli.diagnostic import Patient, quantities
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding

LEAST_TIMES = 50


@dataclass(frozen=True)
class Integrated:
    """An integrated autocorrelation time in draws, its standard error, the window that it was summed to, and ρ."""

    tau: float
    se: float
    window: int
    rho: Float[np.ndarray, " lags"]


class Autocorrelation:
    """τ = 1 + 2 Σ_{t=1}^{M} ρ_t, ρ_t the autocorrelation at lag t over all chains, M the least with M ≥ window·τ.

    Sokal, 1997 ("Monte Carlo methods in statistical mechanics"), sections 3 and 6. ρ_t pools chains around their
    joint mean, so that chains that sit apart count as correlated. An AR(1) chain has τ = (1 + ρ)/(1 − ρ);
    truncation biases by about exp(−2·window) there. The standard error is a jackknife over chains (Sokal's
    √((4M + 2)/N)·τ for fewer
    than eight). iat_max is the largest τ over coordinates and energy, in kernel steps. Caution under 50 τ a chain.

    window: multiples of τ summed, > 0; 5 is usual.
    """

    def __init__(self, window: float) -> None:
        check.positive("window", window)
        self.window = window

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        if screened.good is None:
            return Finding({"iat_max": refused(screened.fatal, "steps")})
        chains = screened.good
        # Rounding of its mean would make a constant look as if it varied.
        varying = {name: values for name, values in quantities(chains).items() if np.ptp(values) > 0}
        times = {name: integrated_time(values, self.window) for name, values in varying.items()}
        times = {name: time for name, time in times.items() if time is not None}
        if not times:
            return Finding({"iat_max": refused("every coordinate is constant in every chain", "steps")})
        slowest = max(times, key=lambda name: times[name].tau)
        worst, draws = times[slowest], chains.x.shape[1]
        doubts = list(screened.remarks)
        if draws < LEAST_TIMES * worst.tau:
            doubts.append(
                f"{draws} draws a chain are only {draws / worst.tau:.0f} times τ of {slowest}, under {LEAST_TIMES}: "
                f"τ may be too low; {chains.longer(LEAST_TIMES * worst.tau / draws)}"
            )
        if draws < 4 * worst.tau:
            reason = f"chains are shorter than 4 τ of {slowest}, so τ is not known: "
            reason += chains.longer(LEAST_TIMES * worst.tau / draws)
            estimate = refused([*screened.remarks, reason], "steps")
        else:
            scale = chains.thin
            estimate = Estimate(
                worst.tau * scale, se=worst.se * scale, unit="steps", if_not_mixed="caution"
            ).with_caution(doubts)
        return Finding({"iat_max": estimate}, *self._picture(times, slowest, chains.thin))

    def _picture(self, times: dict[str, Integrated], slowest: str, thin: int) -> tuple["figure.Figure", str]:
        picture, (axes,) = figure.new()
        shown = min(len(times[slowest].rho), max(20, 2 * times[slowest].window))
        lags = np.arange(shown) * thin
        for name, time in list(times.items())[:64]:
            if name not in (slowest, "energy"):
                axes.plot(lags, time.rho[:shown], color=figure.SKY, alpha=0.25, linewidth=0.7)
        if "energy" in times:
            axes.plot(lags, times["energy"].rho[:shown], color=figure.GREEN, linewidth=1.6, label="energy")
        if slowest != "energy":
            axes.plot(lags, times[slowest].rho[:shown], color=figure.RED, linewidth=1.6, label=f"slowest: {slowest}")
        axes.axhline(0, color=figure.BLACK, linewidth=0.8)
        axes.axvline(times[slowest].window * thin, color=figure.BLACK, linewidth=0.8, linestyle=":", label="window")
        axes.set(xlabel="lag in kernel steps", ylabel="autocorrelation ρ")
        axes.legend()
        worst = times[slowest]
        caption = (
            f"Autocorrelation over all chains; the slowest, {slowest}, has τ = {worst.tau * thin:.3g} ± "
            f"{worst.se * thin:.2g} "
            "steps. Good: every curve falls to 0 well before the window and stays there."
        )
        return picture, caption


def autocovariance(values: Float[np.ndarray, "chain draw"], most: int) -> Float[np.ndarray, "chain lags"]:
    """Autocovariance a chain around the mean over all chains, lags 0 … most − 1, each over its own number of pairs."""
    draws = values.shape[1]
    centred = values - values.mean()
    size = next_fast_len(2 * draws)
    spectrum = rfft(centred, size, axis=1)
    sums = np.asarray(irfft(np.abs(np.asarray(spectrum)) ** 2, size, axis=1))
    return sums[:, :most] / (draws - np.arange(most))


def integrated_time(values: Float[np.ndarray, "chain draw"], window: float) -> Integrated | None:
    """τ of one function of the state; None where it is constant."""
    chains, draws = values.shape
    covariance = autocovariance(values, most=max(2, draws // 2))
    if not covariance[:, 0].sum() > 0:
        return None
    pooled = covariance.sum(0)
    rho = pooled / pooled[0]
    tau = 2 * np.cumsum(rho) - 1
    far = np.flatnonzero(np.arange(len(tau)) >= window * tau)
    m = int(far[0]) if len(far) else len(tau) - 1
    if chains >= 8:
        # Leave one chain out: the ratio of sums is recomputed, the window kept.
        without = pooled - covariance
        each = 2 * without[:, : m + 1].sum(1) / without[:, 0] - 1
        se = float(np.sqrt((chains - 1) * each.var()))
    else:
        se = float(np.sqrt((4 * m + 2) / (chains * draws)) * tau[m])
    return Integrated(max(float(tau[m]), 1e-12), se, m, rho)
