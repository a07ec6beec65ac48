"""The mass of a region of an energy, by a bridge from draws in it to a mixture fitted to half of them."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli.wells.modes import states_of, values

# Draws inside of a region, below which nothing is known of its mass.
FEWEST = 20


def log_mass(
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    temperature: float,
    inside: Callable[[Float[Tensor, "n *event"]], Bool[np.ndarray, " n"]],
) -> float:
    """log ∫ exp(−E/T) over a region that draws x of the model were begun in, by the optimal bridge to a mixture q.

    Z = ⟨p/(s₁p + s₂Zq)⟩_q / ⟨q/(s₁p + s₂Zq)⟩_p with p = exp(−E/T) inside and 0 outside, iterated (Meng and Wong, 1996,
    eq. 4.1). q are Gaussians fitted to every other draw that is still inside, the rest stand for p; where draws have
    left, what lies outside counts for nothing. −∞ where hardly any has stayed. Unbiased as draws grow, where q and the
    region overlap.
    """
    from sklearn.mixture import GaussianMixture

    flat = x.flatten(1).double().cpu().numpy()[inside(x)]
    if len(flat) < FEWEST:
        return -math.inf
    fitted, kept = flat[::2], flat[1::2]
    d = flat.shape[1]
    parts = max(1, min(8, len(fitted) // (10 * d)))
    ridge = 1e-3 * float(fitted.var(0).mean()) + 1e-12
    q = GaussianMixture(parts, reg_covar=ridge, random_state=0, max_iter=50, tol=1e-2).fit(fitted)
    random = np.random.default_rng(0)
    weights = np.asarray(q.weights_)
    k = random.choice(parts, len(flat), p=weights / weights.sum())
    factors = np.linalg.cholesky(np.asarray(q.covariances_))
    drawn = np.asarray(q.means_)[k] + np.einsum("nij,nj->ni", factors[k], random.standard_normal((len(flat), d)))

    def log_ratio(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        e = values(energy, states_of(energy, points.reshape(-1, *x.shape[1:])))
        return np.nan_to_num(-e.double().cpu().numpy() / temperature - q.score_samples(points), nan=-np.inf)

    of_p = log_ratio(kept)
    of_q = np.where(inside(states_of(energy, drawn.reshape(-1, *x.shape[1:]))), log_ratio(drawn), -np.inf)
    log_s1, log_s2 = np.log(len(kept) / (len(kept) + len(drawn))), np.log(len(drawn) / (len(kept) + len(drawn)))
    log_z = float(np.median(of_p))
    for _ in range(50):
        upper = np.logaddexp.reduce(of_q - np.logaddexp(log_s1 + of_q, log_s2 + log_z)) - np.log(len(drawn))
        lower = np.logaddexp.reduce(-np.logaddexp(log_s1 + of_p, log_s2 + log_z)) - np.log(len(kept))
        log_z = float(upper - lower)
    return log_z
