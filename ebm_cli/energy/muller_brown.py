"""Müller–Brown potential: three minima joined by a bent path, the standard test of rare events in two dimensions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check

HEIGHTS = (-200.0, -100.0, -170.0, 15.0)
CURVATURES = ((-1.0, 0.0, -10.0), (-1.0, 0.0, -10.0), (-6.5, 11.0, -6.5), (0.7, 0.6, 0.7))
CENTERS = ((1.0, 0.0), (0.0, 0.5), (-0.5, 1.5), (-1.0, 1.0))


class MullerBrown(nn.Module):
    """E(x, y) = scale·Σₖ Aₖ exp(aₖ(x − x⁰ₖ)² + bₖ(x − x⁰ₖ)(y − y⁰ₖ) + cₖ(y − y⁰ₖ)²).

    Müller and Brown, 1979 (Theor. Chim. Acta 53, 75), eq. 8. Minima of the sum, before the scale: −146.700 at
    (−0.558, 1.442), −108.167 at (0.623, 0.028), −80.768 at (−0.050, 0.467); saddles −40.665 and −72.249. The
    last term, of positive height, is confining. Therefore Z is finite.

    scale: factor of the published potential (> 0). At 1 the barriers are over 40 T at T = 1.
    """

    heights: Tensor
    curvatures: Tensor
    centres: Tensor

    def __init__(self, scale: float) -> None:
        super().__init__()
        check.positive("scale", scale)
        self.event = (2,)
        self.scale = scale
        self.register_buffer("heights", torch.tensor(HEIGHTS))
        self.register_buffer("curvatures", torch.tensor(CURVATURES))
        self.register_buffer("centres", torch.tensor(CENTERS))

    def forward(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        return self._terms(x)[2].sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 2"]]:
        dx, dy, terms = self._terms(x)
        a, b, c = self.curvatures.unbind(1)
        slopes = torch.stack([2 * a * dx + b * dy, b * dx + 2 * c * dy], 2)
        return terms.sum(1), (terms[:, :, None] * slopes).sum(1)

    def _terms(
        self, x: Float[Tensor, "n 2"]
    ) -> tuple[Float[Tensor, "n 4"], Float[Tensor, "n 4"], Float[Tensor, "n 4"]]:
        """Return x − x⁰ₖ, y − y⁰ₖ, and the four terms of the sum."""
        dx, dy = (x[:, None] - self.centres).unbind(2)
        a, b, c = self.curvatures.unbind(1)
        return dx, dy, self.scale * self.heights * (a * dx.square() + b * dx * dy + c * dy.square()).exp()
