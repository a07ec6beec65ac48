"""Autocorrelation of chains, and the number of steps until it has decayed."""

import numpy as np
from jaxtyping import Float

from ebm_cli import check
from ebm_cli.chain.screening import ScreeningResult
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._integrated_time import IatEstimate, integrated_time
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.estimate import Estimate, Picture, Result, all_refused, refused

NAME, UNITS = "iat_max", {"iat_max": "steps"}
# Multiples of τ per chain below which τ gets a caution, and below which it is refused.
MIN_RELIABLE, MIN_KNOWN = 50, 4
# Fewer chains must be longer in inverse proportion, because the standard error then covers too rarely.
MIN_CHAINS = 4
# The quantities of discrete states that have rows of their own.
HAMMING = "Hamming distance"
OF_DISCRETE_STATES = {"iat_energy": "energy", "iat_hamming": HAMMING}
MAX_CURVES, MIN_LAGS = 64, 20


class Autocorrelation:
    """τ = 1 + 2 Σ_{t=1}^{M} ρ_t, ρ_t the autocorrelation at lag t over all chains, M the first lag ≥ window·max(τ, 1).

    Sokal, 1997 ("Monte Carlo methods in statistical mechanics"), sections 3 and 6. ρ_t pools chains around their
    joint mean, so chains with different means count as correlated. An AR(1) chain has τ = (1 + ρ)/(1 − ρ); truncation
    biases it by about exp(−2·window). The standard error (`integrated_time`) covers in 68 % of cases from four chains
    on, twice as much in 95 %. iat_max is the largest τ over coordinates and energy, in kernel steps. For discrete
    states it is also over the Hamming distance to one state, the first draw of the first chain; iat_hamming is τ of
    this distance, and iat_energy τ of E. Caution below 50 τ per chain, or 200 τ in all.

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
        quantities = context.quantities | hamming_distance(context)
        varying = {name: values for name, values in quantities.items() if np.ptp(values) > 0}
        times = {name: integrated_time(values, self.window) for name, values in varying.items()}
        times = {name: time for name, time in times.items() if time is not None}
        if not times:
            return all_refused(UNITS, "every coordinate is constant in every chain")
        slowest = max(times, key=lambda name: times[name].tau)
        named = {NAME: slowest}
        if HAMMING in times:
            named |= {row: name for row, name in OF_DISCRETE_STATES.items() if name in times}
        estimates = {row: in_steps(times[name], name, screened) for row, name in named.items()}
        return Result(estimates, (times, slowest, screened.usable.thin), picture)


def hamming_distance(context: ChainContext) -> dict[str, Float[np.ndarray, "chain draw"]]:
    """Return the number of sites in which draws differ from the first draw of the first chain; empty if continuous."""
    chains = context.screened.usable
    if chains is None or context.energy is None or space_of(context.energy) not in DISCRETE:
        return {}
    sites = Sites(space_of(context.energy), chains.event)
    x = chains.x.reshape(*chains.x.shape[:2], sites.count, -1)
    return {HAMMING: (x != x[0, 0]).any(-1).sum(-1).astype(float)}


def in_steps(time: IatEstimate, name: str, screened: ScreeningResult) -> Estimate:
    """Return τ in kernel steps; with a caution, or refused, if chains are short compared with it."""
    chains = screened.usable
    assert chains is not None
    count, draws = chains.x.shape[:2]
    minimum = MIN_RELIABLE * max(1.0, MIN_CHAINS / count)
    reasons = list(screened.warnings)
    longer = chains.longer(minimum * time.tau / draws)
    if draws < MIN_KNOWN * time.tau:
        short = f"chains are shorter than {MIN_KNOWN} τ of {name}, so τ is unknown. Type {longer}"
        return refused([*reasons, short], "steps")
    if draws < minimum * time.tau:
        reasons.append(
            f"{draws} draws per chain are only {draws / time.tau:.0f} times τ of {name} (minimum: {minimum:.3g}), so "
            f"τ may be too small. Type {longer}"
        )
    estimate = Estimate(time.tau * chains.thin, se=time.se * chains.thin, unit="steps", if_not_mixed="caution")
    return estimate.with_caution(reasons)


def picture(result: Result) -> Picture:
    """Draw the autocorrelation of each quantity over the lag; the slowest and the energy stand out."""
    from ebm_cli import figure

    times, slowest, thin = result.arrays
    worst = times[slowest]
    drawn, (axes,) = figure.new()
    shown = min(len(worst.rho), max(MIN_LAGS, 2 * worst.window))
    lags = np.arange(shown) * thin
    for name, time in list(times.items())[:MAX_CURVES]:
        if name not in (slowest, "energy", HAMMING):
            axes.plot(lags, time.rho[:shown], color=figure.SKY, alpha=0.25, linewidth=0.7)
    for name, color in (("energy", figure.GREEN), (HAMMING, figure.PURPLE)):
        if name in times:
            axes.plot(lags, times[name].rho[:shown], color=color, linewidth=1.6, label=name)
    if slowest not in ("energy", HAMMING):
        axes.plot(lags, worst.rho[:shown], color=figure.RED, linewidth=1.6, label=f"slowest: {slowest}")
    axes.axhline(0, color=figure.BLACK, linewidth=0.8)
    axes.axvline(worst.window * thin, color=figure.BLACK, linewidth=0.8, linestyle=":", label="window")
    axes.set(xlabel="lag in kernel steps", ylabel="autocorrelation ρ")
    axes.legend()
    return drawn, (
        f"Autocorrelation over all chains. The slowest quantity, {slowest}, has τ = {worst.tau * thin:.3g} ± "
        f"{worst.se * thin:.2g} steps. Look for curves that fall to 0 well before the window and stay there."
    )
