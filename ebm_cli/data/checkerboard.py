"""The squares of one colour on a 4×4 board: flat inside, steep at the edges, touching at the corners."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream
from ebm_cli.rng import normal_like

SQUARES = 8


class Checkerboard(Stream):
    """Uniform on the 8 squares of side 1 of one colour of the board [−2, 2]², plus N(0, noise²I); labels: which square.

    p(x) = ⅛ Σ_c F(x₁ − c₁) F(x₂ − c₂) over their centres c, F(d) = Φ((d + ½)/noise) − Φ((d − ½)/noise).

    noise: > 0; the squares merge near 0.5. n: rows, or null for fresh draws. seed: of the rows.
    """

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.positive("noise", noise)
        self.event = (2,)
        self.noise = noise

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        y = torch.randint(SQUARES, (n,), generator=rng, device=rng.device)
        clean = self._centre(y) + torch.rand(n, 2, generator=rng, device=rng.device) - 0.5
        return Batch(clean + self.noise * normal_like(clean, rng), clean=clean, y=y)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        centre = self._centre(torch.arange(SQUARES, device=x.device)).to(x.dtype)
        log_f = self._log_f(x[:, None] - centre).sum(2)
        return torch.logsumexp(log_f, 1) - math.log(SQUARES)

    def _log_f(self, d: Float[Tensor, "n m 2"]) -> Float[Tensor, "n m 2"]:
        """log F(d) = log Φ(a) + log(1 − Φ(b)/Φ(a)), a = (½ − |d|)/noise, b = (−½ − |d|)/noise: F is even."""
        d = d.abs()
        log_upper = torch.special.log_ndtr((0.5 - d) / self.noise)
        log_lower = torch.special.log_ndtr((-0.5 - d) / self.noise)
        # Φ(b)/Φ(a) ≤ exp(−|d|/noise²) always; the bound stays where two huge logarithms round to the same number.
        log_ratio = torch.fmin(log_lower - log_upper, -d / self.noise**2)
        return log_upper + (-torch.expm1(log_ratio)).log()

    @staticmethod
    def _centre(k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        row = k // 2
        corner = torch.stack([row, 2 * (k % 2) + row % 2], 1)
        return corner.to(torch.get_default_dtype()) - 1.5
