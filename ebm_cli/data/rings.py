"""Four circles inside each other: parts that no path joins, and a hole in the middle."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream
from ebm_cli.rng import normal_like

RADII = (0.75, 1.5, 2.25, 3.0)


class Rings(Stream):
    """Equal parts of four circles of radii r = 0.75, 1.5, 2.25, 3, uniform in angle, plus N(0, noise²I); labels: which.

    p(x) = ¼ Σᵣ exp(−(ρ² + r²)/(2σ²)) I₀(ρr/σ²)/(2πσ²) with ρ = ‖x‖ and σ = noise, the angle integrated out. The set
    of Grathwohl et al. 2019 (FFJORD).

    noise: > 0; the rings merge near 0.4. n: rows, or null for fresh draws. seed: of the rows.
    """

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.positive("noise", noise)
        self.event = (2,)
        self.noise = noise

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        y = torch.randint(len(RADII), (n,), generator=rng, device=rng.device)
        angle = 2 * math.pi * torch.rand(n, generator=rng, device=rng.device)
        clean = torch.tensor(RADII, device=rng.device)[y, None] * torch.stack([angle.cos(), angle.sin()], 1)
        return Batch(clean + self.noise * normal_like(clean, rng), clean=clean, y=y)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        r = torch.tensor(RADII, dtype=x.dtype, device=x.device)
        rho = x.norm(dim=1, keepdim=True)
        # i0e(z) = exp(−z) I₀(z) takes ρr/σ² out of the exponent and leaves (ρ − r)²: nothing overflows or cancels.
        log_bessel = torch.special.i0e(rho * r / self.noise**2).log()
        log_ring = -0.5 * ((rho - r) / self.noise).square() + log_bessel
        return torch.logsumexp(log_ring, 1) - math.log(len(RADII) * 2 * math.pi * self.noise**2)
