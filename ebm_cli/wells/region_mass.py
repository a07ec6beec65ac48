"""The mass of a region of an energy, by bridge sampling between draws in it and a mixture fitted to half of them."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli.data._mixture_fit import expectation_maximization
from ebm_cli.wells.descent import states_of, values

# Minimum number of draws inside a region for an estimate of its mass.
MIN_DRAWS = 20
# Maximum number of components of the fitted mixture, and minimum number of draws per component and dimension.
MAX_COMPONENTS, MIN_DRAWS_PER_PARAMETER = 8, 10
ITERATIONS = 50


def log_mass(
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    temperature: float,
    inside: Callable[[Float[Tensor, "n *event"]], Bool[np.ndarray, " n"]],
) -> float:
    """Return log ∫ exp(−E/T) over a region, by the optimal bridge between the model and a mixture q.

    Z = ⟨p/(s₁p + s₂Zq)⟩_q / ⟨q/(s₁p + s₂Zq)⟩_p with p = exp(−E/T) inside and 0 outside is iterated (Meng and Wong,
    1996, eq. 4.1). q is a mixture of Gaussians fitted to half of the draws inside; the other half are draws of p. −∞ if
    fewer than 20 draws are inside. Consistent if q overlaps with the region.

    x: draws of chains that started in the region. Draws outside of the region are not used.
    inside: function that returns True for each state in the region.
    """
    flat = x.flatten(1).double().cpu().numpy()[inside(x)]
    if len(flat) < MIN_DRAWS:
        return -math.inf
    to_fit, of_p = flat[::2], flat[1::2]
    components = max(1, min(MAX_COMPONENTS, len(to_fit) // (MIN_DRAWS_PER_PARAMETER * flat.shape[1])))
    ridge = 1e-3 * float(to_fit.var(0).mean()) + 1e-12
    q = expectation_maximization(to_fit, components, ridge, 0, max_iter=50, tol=1e-2)
    drawn = mixture_draws(q, len(flat))

    def log_ratio(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        e = values(energy, states_of(energy, points.reshape(-1, *x.shape[1:])))
        return np.nan_to_num(-e.double().cpu().numpy() / temperature - q.score_samples(points), nan=-np.inf)

    drawn_inside = inside(states_of(energy, drawn.reshape(-1, *x.shape[1:])))
    return bridge(log_ratio(of_p), np.where(drawn_inside, log_ratio(drawn), -np.inf))


def mixture_draws(q: object, n: int) -> Float[np.ndarray, "n d"]:
    """Return n draws of a Gaussian mixture of scikit-learn, the same in every run."""
    weights, means, covariances = (np.asarray(getattr(q, f"{name}_")) for name in ("weights", "means", "covariances"))
    rng = np.random.default_rng(0)
    k = rng.choice(len(weights), n, p=weights / weights.sum())
    noise = rng.standard_normal((n, means.shape[1]))
    return means[k] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[k], noise)


def bridge(of_p: Float[np.ndarray, " n"], of_q: Float[np.ndarray, " m"]) -> float:
    """Return log Z, given log p/q of draws of p and of draws of q."""
    n, m = len(of_p), len(of_q)
    log_s1, log_s2 = np.log(n / (n + m)), np.log(m / (n + m))
    log_z = float(np.median(of_p))
    for _ in range(ITERATIONS):
        upper = np.logaddexp.reduce(of_q - np.logaddexp(log_s1 + of_q, log_s2 + log_z)) - np.log(m)
        lower = np.logaddexp.reduce(-np.logaddexp(log_s1 + of_p, log_s2 + log_z)) - np.log(n)
        log_z = float(upper - lower)
    return log_z
