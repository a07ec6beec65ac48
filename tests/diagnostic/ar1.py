"""Stationary AR(1) chains. Their autocorrelation time is (1 + ρ)/(1 − ρ)."""

import numpy as np
from scipy.signal import lfilter


def ar1(rho: float, chains: int, draws: int, seed: int) -> np.ndarray:
    """x_{t+1} = ρ x_t + √(1 − ρ²) ξ from a stationary start, (chain, draw), unit variance."""
    noise = np.random.default_rng(seed).standard_normal((chains, draws))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise, axis=1)
