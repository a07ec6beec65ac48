"""Log densities of mixtures of Gaussians of one width, discrete or along a curve."""

import math
from abc import abstractmethod
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from scipy.special import roots_legendre
from torch import Tensor

from ebm_cli.data._synthetic import PlaneData


class GaussiansData(PlaneData):
    """Base of the sets of equally weighted Gaussians N(mₖ, noise²I); labels are k = 0 … n_modes − 1."""

    n_modes: ClassVar[int]

    @staticmethod
    @abstractmethod
    def mean(k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        """Return mₖ."""

    def draw_clean(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        k = torch.randint(self.n_modes, (n,), generator=rng, device=rng.device)
        return self.mean(k), k

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        means = self.mean(torch.arange(self.n_modes, device=x.device))
        return log_mixture(x, means, torch.full_like(means[:, 0], -math.log(self.n_modes)), self.noise)


def log_mixture(
    x: Float[Tensor, "n d"], means: Float[Tensor, "m d"], log_weights: Float[Tensor, " m"], noise: float
) -> Float[Tensor, " n"]:
    """Return log Σᵢ wᵢ N(x; meanᵢ, noise²I) for components, or for the nodes of an integral along a curve."""
    # Differences are squared directly, because the product form that cdist may choose loses digits by cancellation.
    distance = torch.cdist(x, means.to(x.dtype), compute_mode="donot_use_mm_for_euclid_dist")
    log_parts = torch.addcmul(log_weights.to(x.dtype), distance, distance, value=-0.5 / noise**2)
    return torch.logsumexp(log_parts, 1) - x.shape[1] * (math.log(noise) + 0.5 * math.log(2 * math.pi))


def legendre_rule(nodes: int, upper: float, like: Tensor) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Return Gauss–Legendre nodes t and weights w on [0, upper], in the type and on the device of `like`."""
    z, w = _legendre_roots(nodes)
    t, weights = (z + 1) * upper / 2, w * upper / 2
    return t.to(like), weights.to(like)


@cache
def _legendre_roots(nodes: int) -> tuple[Tensor, Tensor]:
    # The rule of numpy loses digits from a few hundred nodes on.
    z, w = roots_legendre(nodes)
    return torch.from_numpy(z), torch.from_numpy(w)
