"""Tails: whether a law has the moments that its mean and its standard deviation stand on."""

import numpy as np
from jaxtyping import Float

# A generalised Pareto tail of shape k has moments below order 1/k: an error of the mean needs the second, one of the
# standard deviation the fourth.
MEAN_UP_TO, STD_UP_TO = 0.5, 0.25
LEAST_DRAWS = 100


def heaviest(flat: Float[np.ndarray, "chain draw size"]) -> tuple[float, float]:
    """The largest k̂ over coordinates, of a generalised Pareto law fitted to either tail, and its standard error.

    Zhang and Stephens, 2009, on the 3√S (at most a fifth) most extreme of S draws, as Vehtari et al., 2024 (JMLR 25,
    72), use it, by ArviZ's function; the error is the asymptotic (1 + k)/√(draws in the tail). −∞ for under 100 draws.
    """
    draws = flat.shape[0] * flat.shape[1]
    if draws < LEAST_DRAWS:
        return -np.inf, 0.0
    shapes = [shape(flat[:, :, i]) for i in range(flat.shape[2])]
    k = max((k for k in shapes if np.isfinite(k)), default=-np.inf)
    return k, (1 + max(k, 0.0)) / min(0.2 * draws, 3 * draws**0.5) ** 0.5


def shape(values: Float[np.ndarray, "chain draw"]) -> float:
    """k̂ of the heavier tail; −∞ for a tail of one value, which ArviZ fits no law to."""
    from arviz_stats.base.array import array_stats

    if not np.ptp(values) > 0:
        return -np.inf
    try:
        return float(np.asarray(array_stats.pareto_khat(values, chain_axis=0, draw_axis=1, r_eff=1.0, tail="both")))
    except ValueError:
        return -np.inf


def doubts(flat: Float[np.ndarray, "chain draw size"]) -> dict[str, list[str]]:
    """What to doubt of `mean` and `std` for their tails' sake, each from one standard error of k̂ on."""
    k, error = heaviest(flat)
    found: dict[str, list[str]] = {"mean": [], "std": []}
    if k - error > MEAN_UP_TO:
        found["mean"].append(f"heavy tails, k = {k:.2f} ± {error:.2f}: its error is not known above {MEAN_UP_TO:g}")
    if k - error > STD_UP_TO:
        found["std"].append(f"heavy tails, k = {k:.2f} ± {error:.2f}: its error is not known above {STD_UP_TO:g}")
    return found
