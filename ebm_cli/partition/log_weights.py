"""Means, errors and effective numbers of weights that are given as logarithms."""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import norm, t

from ebm_cli.path._schedule import effective_sample_size

# One-sided probability of each bound. Both hold in 999 of 1,000 answers, because a bracket is read as certain, and one
# study has many of them.
BOUND_LEVEL = 0.9995
# One-sided probability that ±1.96 standard errors stand for.
ERROR_LEVEL = 0.975
# Weights are collapsed if their effective fraction or their effective sample size is below these.
MIN_ESS_FRACTION, MIN_ESS = 0.1, 3


def standard_error(values: Float[np.ndarray, " n"]) -> float:
    """Return the standard error of the mean."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def is_collapsed(log_w: Float[np.ndarray, " n"]) -> bool:
    """Return True if too few of the paths dominate the estimate."""
    return effective_number(log_w) < max(MIN_ESS_FRACTION * len(log_w), MIN_ESS)


def effective_number(log_w: Float[np.ndarray, " n"]) -> float:
    """Return the effective sample size of log weights."""
    return float(effective_sample_size(torch.from_numpy(log_w)))


def log_mean(log_w: Float[np.ndarray, " n"]) -> float:
    """Return log ⟨w⟩."""
    return float(np.logaddexp.reduce(log_w)) - math.log(len(log_w))


def mean_and_error(log_w: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return ⟨log w⟩ and its standard error; −∞ and ∞ if a weight is 0."""
    if not np.isfinite(log_w).all():
        return -np.inf, np.inf
    return float(log_w.mean()), standard_error(log_w)


def bound_quantile(n: int) -> float:
    """Return Student's quantile of a bound for a mean of n values."""
    return float(t.ppf(BOUND_LEVEL, n - 1))


def student_factor(n: int) -> float:
    """Return the factor of a standard error from n values by which ±1.96 of it is Student's interval."""
    return float(t.ppf(ERROR_LEVEL, n - 1) / norm.ppf(ERROR_LEVEL))
