"""Four concentric circles: components without a path between them, and a hole at the center."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data._synthetic import PlaneData

RADII = (0.75, 1.5, 2.25, 3.0)


class Rings(PlaneData):
    """Four circles of radii r = 0.75, 1.5, 2.25, 3, equal weights, uniform in angle, plus N(0, noise²I); labels: r.

    p(x) = ¼ Σᵣ exp(−(ρ² + r²)/(2σ²)) I₀(ρr/σ²)/(2πσ²) with ρ = ‖x‖ and σ = noise, the angle integrated out. The set
    of Grathwohl et al. 2019 (FFJORD). The rings merge near noise = 0.4.
    """

    def draw_clean(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        y = torch.randint(len(RADII), (n,), generator=rng, device=rng.device)
        angle = 2 * math.pi * torch.rand(n, generator=rng, device=rng.device)
        return torch.tensor(RADII, device=rng.device)[y, None] * torch.stack([angle.cos(), angle.sin()], 1), y

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        r = torch.tensor(RADII, dtype=x.dtype, device=x.device)
        rho = x.norm(dim=1, keepdim=True)
        # i0e(z) = exp(−z) I₀(z) takes ρr/σ² out of the exponent and leaves (ρ − r)²: nothing overflows or cancels.
        log_bessel = torch.special.i0e(rho * r / self.noise**2).log()
        log_ring = -0.5 * ((rho - r) / self.noise).square() + log_bessel
        return torch.logsumexp(log_ring, 1) - math.log(len(RADII) * 2 * math.pi * self.noise**2)
