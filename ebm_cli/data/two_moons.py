"""Two interleaved half circles: curved, thin, and unlike a mixture of Gaussians."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data._mixture_density import legendre_rule, log_mixture
from ebm_cli.data._synthetic import PlaneData

NODES = 256


class TwoMoons(PlaneData):
    """Two unit half circles of equal weight, angle t ~ U(0, π), plus N(0, noise²I); labels: 0 upper, 1 lower.

    The upper moon is (cos t − ½, sin t − ¼), the lower moon (½ − cos t, ¼ − sin t): the set of scikit-learn with both
    means moved to 0. The density is the integral over t by Gauss–Legendre quadrature with 256 nodes; exact to rounding
    for noise ≥ 0.02.
    """

    min_noise = 0.02

    def draw_clean(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        y = torch.randint(2, (n,), generator=rng, device=rng.device)
        t = math.pi * torch.rand(n, generator=rng, device=rng.device)
        return torch.where(y[:, None] == 0, upper_moon(t), -upper_moon(t)), y

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        t, weights = legendre_rule(NODES, math.pi, x)
        upper = upper_moon(t)
        return log_mixture(x, torch.cat([upper, -upper]), (weights / (2 * math.pi)).log().repeat(2), self.noise)


def upper_moon(t: Float[Tensor, " m"]) -> Float[Tensor, "m 2"]:
    """Return the points of the upper moon at angles t."""
    return torch.stack([t.cos() - 0.5, t.sin() - 0.25], 1)
