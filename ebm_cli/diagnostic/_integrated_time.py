"""The integrated autocorrelation time of one function of the state, and its standard error."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.fft import irfft, next_fast_len, rfft

# Enough blocks for an error whose own error does not reduce its coverage.
MIN_BLOCKS = 32
ITERATIONS = 4


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


def integrated_time(values: Float[np.ndarray, "chain draw"], window: float) -> IatEstimate | None:
    """Return τ of one function of the state; None if it is constant.

    The standard error is the larger of two, so that it covers at its rate from four chains on. `gaussian_error` needs
    no number of chains, but is too small for a function such as the square of a Gaussian process. `block_error` is
    valid for any function, but is too small if there are few blocks.
    """
    centered = values - values.mean()
    covariance = autocovariance(centered, max(2, values.shape[1] // 2))
    if not covariance[:, 0].sum() > 0:
        return None
    found = windowed_time(covariance, values.size, window)
    tau, m = found.tau, found.window
    se = max(gaussian_error(found.rho[: m + 1], tau, values.size), block_error(centered, tau, m))
    return IatEstimate(max(tau, 1e-12), se, m, found.rho)


def autocovariance(centered: Float[np.ndarray, "chain draw"], lags: int) -> Float[np.ndarray, "chain lags"]:
    """Return each chain's autocovariance, divided by the number of pairs per lag.

    centered: values minus a mean, of each chain or of all.
    """
    draws = centered.shape[1]
    size = next_fast_len(2 * draws)
    spectrum = rfft(centered, size, axis=1)
    sums = np.asarray(irfft(np.abs(np.asarray(spectrum)) ** 2, size, axis=1))
    return sums[:, :lags] / (draws - np.arange(lags))


def windowed_time(covariance: Float[np.ndarray, "chain lags"], draws: int, window: float) -> IatEstimate:
    """Return τ by Sokal's window, without an error: the sum over lags up to the smallest lag ≥ window·max(τ, 1).

    The covariance around a mean of `draws` draws is too small by the variance of that mean, τ/draws times the
    covariance at lag 0. This term is added in each iteration.
    """
    plain = covariance.sum(0) / covariance[:, 0].sum()
    tau, m, rho = 1.0, 0, plain
    for _ in range(ITERATIONS):
        lost = min(max(tau, 0.0) / draws, 0.5)
        rho = (plain + lost) / (1 + lost)
        times = 2 * np.cumsum(rho) - 1
        far = np.flatnonzero(np.arange(len(times)) >= window * np.maximum(times, 1))
        m = int(far[0]) if len(far) else len(times) - 1
        tau = float(times[m])
    return IatEstimate(tau, 0.0, m, rho)


def gaussian_error(rho: Float[np.ndarray, " lags"], tau: float, draws: int) -> float:
    """Return the standard error of τ for a Gaussian process: √((2/S) ∫ f(ω)² (D(ω) − τ)² dω/2π) for S draws.

    f is the Fourier transform of ρ up to the window and D that of the window itself. This is Bartlett's formula (1946)
    for the covariance of autocorrelations, summed over the window. For long windows it approaches τ√((4M + 2)/S)
    (Sokal, 1997).
    """
    m = len(rho) - 1
    zeros = np.zeros(6 * m + 6)
    sides = np.ones(m)
    f = np.fft.fft(np.concatenate([rho, zeros, rho[:0:-1]])).real
    d = np.fft.fft(np.concatenate([[1.0], sides, zeros, sides])).real
    return float(np.sqrt(2 / draws * np.mean(f**2 * (d - tau) ** 2)))


def block_error(centered: Float[np.ndarray, "chain draw"], tau: float, m: int) -> float:
    """Return the standard error of τ = Σ_i x_i Σ_{|t|≤m} x_{i+t} / Σ_i x_i² from the differences between blocks.

    To first order, the error of this ratio is the mean of x_i(Σ_{|t|≤m} x_{i+t} − τ x_i) divided by that of x_i². Its
    sums over blocks count as independent. A block is a chain, or a part of one of at least m draws if there are few.
    """
    chains, draws = centered.shape
    sums = np.concatenate([np.zeros((chains, 1)), np.cumsum(centered, axis=1)], axis=1)
    last, first = np.minimum(np.arange(draws) + m + 1, draws), np.maximum(np.arange(draws) - m, 0)
    # The window is cut off at the ends of a chain. Its sum there is scaled to full length.
    near = (sums[:, last] - sums[:, first]) * ((2 * m + 1) / (last - first))
    deviations = centered * (near - tau * centered)
    parts = max(1, min(draws // max(m, 1), -(-MIN_BLOCKS // chains)))
    length = draws // parts
    blocks = deviations[:, : parts * length].reshape(chains * parts, length).sum(1)
    if len(blocks) < 2:
        return 0.0
    return float(np.sqrt(len(blocks) * blocks.var(ddof=1)) / (centered**2).sum())
