"""Two spirals wound into each other: long, thin, and every turn lies between two of the other."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream, legendre, log_mixture
from ebm_cli.rng import normal_like

END = 3 * math.pi
LEAST = 0.05


class Spirals(Stream):
    """Equal parts of two arms ±(t cos t, t sin t)/3, t = 3π√u with u ~ U(0, 1), plus N(0, noise²I); labels say which.

    t has the density 2t/(3π)², which spreads the points about evenly along an arm; an arm ends at radius π. The
    density is the integral over t by Gauss–Legendre quadrature with 40/noise nodes, at least 128: exact to
    rounding. The bound on noise is one on their number.

    noise: ≥ 0.05; the arms merge near 0.5. n: rows, or null for fresh draws. seed: of the rows.
    """

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.number("noise", noise)
        if noise < LEAST:
            raise check.InputError(f"noise must be >= {LEAST}, got {noise}")
        self.event = (2,)
        self.noise = noise
        # The nodes lie 30/nodes apart where they are sparsest along the arm, which must be below the noise.
        self._nodes = max(128, math.ceil(40 / noise))

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        y = torch.randint(2, (n,), generator=rng, device=rng.device)
        t = END * torch.rand(n, generator=rng, device=rng.device).sqrt()
        clean = torch.where(y[:, None] == 0, self._arm(t), -self._arm(t))
        return Batch(clean + self.noise * normal_like(clean, rng), clean=clean, y=y)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        t, weights = legendre(self._nodes, END, x)
        arm = self._arm(t)
        log_weights = (weights * 2 * t / END**2 / 2).log()
        return log_mixture(x, torch.cat([arm, -arm]), log_weights.repeat(2), self.noise)

    @staticmethod
    def _arm(t: Float[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        return torch.stack([t * t.cos(), t * t.sin()], 1) / 3
