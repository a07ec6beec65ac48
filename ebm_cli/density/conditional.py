"""Mixtures of Gaussians given part of a state, or given a linear measurement of it: again mixtures, in closed form."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.density.normals import NormalMixture


def given_part(prior: NormalMixture, known: Bool[Tensor, " d"], y: Float[Tensor, " d"]) -> NormalMixture:
    """Return p(x_u | x_k = y_k) of a mixture, u the unknown and k the known coordinates.

    Its components have weights ∝ wⱼ N(y_k; m_k, C_kk), means m_u + C_uk C_kk⁻¹(y_k − m_k) and covariances
    C_uu − C_uk C_kk⁻¹ C_ku (Bishop, 2006, section 2.3.1).
    """
    if not bool(known.any()):
        return prior
    full = prior.roots @ prior.roots.mT
    u, k = (~known).nonzero().flatten(), known.nonzero().flatten()
    return _posterior(
        prior, prior.means[:, u], full[:, u][:, :, u], full[:, u][:, :, k], prior.means[:, k], full[:, k][:, :, k], y[k]
    )


def given_measurement(
    prior: NormalMixture, A: Float[Tensor, "m d"], b: Float[Tensor, " m"], sigma: float, y: Float[Tensor, " m"]
) -> NormalMixture:
    """Return p(x | y) of a mixture for y = A x + b + σξ with ξ standard normal.

    Its components have weights ∝ wⱼ N(y; A m + b, S) with S = ACAᵀ + σ²I, means m + CAᵀS⁻¹(y − A m − b) and covariances
    C − CAᵀS⁻¹AC (Bishop, 2006, section 2.3.3).
    """
    C = prior.roots @ prior.roots.mT
    cross = C @ A.T
    S = A @ cross + sigma**2 * torch.eye(len(A)).to(A)
    return _posterior(prior, prior.means, C, cross, prior.means @ A.T + b, S, y)


def _posterior(
    prior: NormalMixture,
    mean: Float[Tensor, "j u"],
    covariance: Float[Tensor, "j u u"],
    cross: Float[Tensor, "j u k"],
    predicted: Float[Tensor, "j k"],
    spread: Float[Tensor, "j k k"],
    y: Float[Tensor, " k"],
) -> NormalMixture:
    """Return the mixture of x given y, with mean and covariance of x, of x with y, and of y, for each component."""
    root = torch.linalg.cholesky(spread)
    away = torch.linalg.solve_triangular(root, (y - predicted)[..., None], upper=False)
    gain = torch.linalg.solve_triangular(root, cross.mT, upper=False)
    log_weights = prior.log_weights - root.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * away.square().sum((1, 2))
    left = covariance - gain.mT @ gain
    # Rounding may leave a covariance that is not quite positive.
    jitter = 1e-9 * covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(left.shape[1]).to(left)
    return NormalMixture(
        prior.words,
        log_weights.log_softmax(0),
        mean + (gain.mT @ away)[..., 0],
        torch.linalg.cholesky(left + jitter),
    )
