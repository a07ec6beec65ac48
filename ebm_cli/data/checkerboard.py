"""The squares of one color on a 4×4 board: flat inside, steep at the edges, touching at the corners."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data._synthetic import PlaneData

SQUARES = 8


class Checkerboard(PlaneData):
    """Uniform on the 8 squares of side 1 of one color of the board [−2, 2]², plus N(0, noise²I); labels: the square.

    p(x) = ⅛ Σ_c F(x₁ − c₁) F(x₂ − c₂) over their centers c, F(d) = Φ((d + ½)/noise) − Φ((d − ½)/noise). The squares
    merge near noise = 0.5.
    """

    def draw_clean(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        y = torch.randint(SQUARES, (n,), generator=rng, device=rng.device)
        return center(y) + torch.rand(n, 2, generator=rng, device=rng.device) - 0.5, y

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        centers = center(torch.arange(SQUARES, device=x.device)).to(x.dtype)
        log_f = self._log_f(x[:, None] - centers).sum(2)
        return torch.logsumexp(log_f, 1) - math.log(SQUARES)

    def _log_f(self, d: Float[Tensor, "n m 2"]) -> Float[Tensor, "n m 2"]:
        """Return log F(d) = log Φ(a) + log(1 − Φ(b)/Φ(a)), a = (½ − |d|)/noise, b = (−½ − |d|)/noise: F is even."""
        d = d.abs()
        log_upper = torch.special.log_ndtr((0.5 - d) / self.noise)
        log_lower = torch.special.log_ndtr((-0.5 - d) / self.noise)
        # Φ(b)/Φ(a) ≤ exp(−|d|/noise²) always. The bound holds where two large logarithms round to the same number.
        log_ratio = torch.fmin(log_lower - log_upper, -d / self.noise**2)
        return log_upper + (-torch.expm1(log_ratio)).log()


def center(k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
    """Return the center of square k."""
    row = k // 2
    corner = torch.stack([row, 2 * (k % 2) + row % 2], 1)
    return corner.to(torch.get_default_dtype()) - 1.5
