"""Two interleaved spirals: long and thin, with every turn between two turns of the other."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data._mixture_density import legendre_rule, log_mixture
from ebm_cli.data._synthetic import PlaneData

MAX_ANGLE = 3 * math.pi


class Spirals(PlaneData):
    """Two arms ±(t cos t, t sin t)/3 of equal weight, t = 3π√u, u ~ U(0, 1), plus N(0, noise²I); labels: which arm.

    t has the density 2t/(3π)², so the points are about equally dense along an arm. The outer radius is π. The density
    is the integral over t by Gauss–Legendre quadrature with max(128, 40/noise) nodes; exact to rounding. The bound
    noise ≥ 0.05 limits their number. The arms merge near noise = 0.5.
    """

    min_noise = 0.05

    def draw_clean(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        y = torch.randint(2, (n,), generator=rng, device=rng.device)
        t = MAX_ANGLE * torch.rand(n, generator=rng, device=rng.device).sqrt()
        return torch.where(y[:, None] == 0, first_arm(t), -first_arm(t)), y

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        # The largest distance between nodes along the arm is 30/nodes; it must be smaller than the noise.
        t, weights = legendre_rule(max(128, math.ceil(40 / self.noise)), MAX_ANGLE, x)
        arm = first_arm(t)
        log_weights = (weights * 2 * t / MAX_ANGLE**2 / 2).log()
        return log_mixture(x, torch.cat([arm, -arm]), log_weights.repeat(2), self.noise)


def first_arm(t: Float[Tensor, " m"]) -> Float[Tensor, "m 2"]:
    """Return the points of the first arm at angles t."""
    return torch.stack([t * t.cos(), t * t.sin()], 1) / 3
