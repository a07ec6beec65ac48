"""Tail index: whether a distribution has the moments that the errors of its mean and standard deviation need."""

import numpy as np
from jaxtyping import Float

# A generalized Pareto tail of shape k has moments below order 1/k. The error of the mean needs the second moment, the
# error of the standard deviation the fourth.
MAX_SHAPE = {"mean": 0.5, "std": 0.25}
MOMENT = {"mean": "variance", "std": "fourth moment"}
WORDS = {"mean": "mean", "std": "standard deviation"}
MIN_DRAWS = 100


def heaviest_tail(flat: Float[np.ndarray, "chain draw size"]) -> tuple[float, float]:
    """Return the largest k̂ over coordinates, of a generalized Pareto fit to either tail, and its standard error.

    The fit of Zhang and Stephens, 2009, uses the min(3√S, S/5) most extreme of S draws (Vehtari et al., 2024, JMLR 25,
    72), by ArviZ's function. The asymptotic error is (1 + k)/√(draws in the tail). −∞ below 100 draws.
    """
    draws = flat.shape[0] * flat.shape[1]
    if draws < MIN_DRAWS:
        return -np.inf, 0.0
    shapes = [shape(flat[:, :, i]) for i in range(flat.shape[2])]
    k = max((k for k in shapes if np.isfinite(k)), default=-np.inf)
    return k, (1 + max(k, 0.0)) / min(0.2 * draws, 3 * draws**0.5) ** 0.5


def shape(values: Float[np.ndarray, "chain draw"]) -> float:
    """Return k̂ of the heavier tail; −∞ if ArviZ cannot fit a distribution because all values are equal."""
    from arviz_stats.base.array import array_stats

    if not np.ptp(values) > 0:
        return -np.inf
    try:
        return float(np.asarray(array_stats.pareto_khat(values, chain_axis=0, draw_axis=1, r_eff=1.0, tail="both")))
    except ValueError:
        return -np.inf


def tail_cautions(flat: Float[np.ndarray, "chain draw size"]) -> dict[str, list[str]]:
    """Return cautions for `mean` and `std`: k̂ is above the bound by more than its standard error."""
    k, error = heaviest_tail(flat)
    cautions: dict[str, list[str]] = {}
    for name, bound in MAX_SHAPE.items():
        heavy = f"heavy tails (Pareto shape k̂ = {k:.2f} ± {error:.2f})"
        invalid = f"the {MOMENT[name]} is infinite, so the standard error of the {WORDS[name]} is not valid"
        cautions[name] = [f"{heavy}. Above {bound:g} {invalid}"] if k - error > bound else []
    return cautions
