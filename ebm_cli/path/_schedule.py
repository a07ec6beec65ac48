"""The arithmetic of schedules: effective sample sizes, the next β, resampling, and equal spacing of a path."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

# Minimum effective fraction of a population after each step of β.
MIN_ESS_FRACTION = 0.9
BISECTIONS = 60


def effective_sample_size(log_w: Float[Tensor, "*groups n"]) -> Float[Tensor, "*groups"]:
    """Return (Σw)²/Σw² along the last axis, in [1, n]; 0 if all weights are 0 (Kong, Liu and Wong, 1994)."""
    ess = torch.exp(2 * log_w.logsumexp(-1) - (2 * log_w).logsumexp(-1))
    return torch.where(log_w.isfinite().any(-1), ess, 0.0)


def ess_fraction(log_w: Float[Tensor, " n"]) -> float:
    """Return the effective sample size divided by the number of weights."""
    return float(effective_sample_size(log_w)) / len(log_w)


def largest_rise(delta_u: Float[Tensor, " n"], limit: float) -> float:
    """Return the largest rise of β whose weights exp(rise·ΔU) keep nine tenths of the finite states effective.

    delta_u: U₀ − U of each state; −∞ for states without a finite energy.
    limit: upper bound of the rise (> 0).

    The result is 0 if nearly no state has a finite energy.
    """
    finite = delta_u[torch.isfinite(delta_u)]
    if len(finite) < len(delta_u) / 10 + 1:
        return 0.0
    low, high = 0.0, limit
    for _ in range(BISECTIONS):
        if ess_fraction(high * finite) >= MIN_ESS_FRACTION:
            return high
        middle = (low * high) ** 0.5 if low else high / 4
        low, high = (middle, high) if ess_fraction(middle * finite) >= MIN_ESS_FRACTION else (low, middle)
        if low and high < 1.01 * low:
            return low
    return low


def resample(log_w: Float[Tensor, "groups n"], rng: torch.Generator) -> Int[Tensor, "groups n"]:
    """Return row numbers from systematic resampling within each group.

    The number of copies of a row differs from n times its normalized weight by less than 1.
    """
    groups, n = log_w.shape
    bounds = log_w.softmax(1).cumsum(1)
    offset = torch.rand(groups, 1, generator=rng, dtype=bounds.dtype, device=bounds.device)
    points = (torch.arange(n, device=bounds.device) + offset) / n
    return torch.searchsorted(bounds / bounds[:, -1:], points).clamp(max=n - 1)


def equally_spaced(
    values: Float[np.ndarray, " k"], length: Float[np.ndarray, " k"], count: int
) -> Float[np.ndarray, " count"]:
    """Return `count` values along a path, equally far apart in the path's own length, which rises from 0."""
    return np.interp(np.linspace(0, length[-1], count), length, values)
