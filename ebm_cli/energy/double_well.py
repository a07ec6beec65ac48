"""Double well: the smallest energy with a barrier."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check


class DoubleWell(nn.Module):
    """E(x) = barrier·(x₁² − 1)² + tilt·x₁ + ½ Σ_{i>1} xᵢ².

    Wells near x₁ = ±1 with curvature 8·barrier, separated by `barrier` at x₁ = 0; `tilt` > 0 raises the right well.
    Z is not known in closed form. Quadrature in x₁ gives it, because the other coordinates are independent N(0, T).

    barrier: height of the barrier, in units of energy (> 0).
    tilt: slope along x₁.
    event: (d,); 2-D by default.
    """

    def __init__(self, barrier: float, tilt: float, event: tuple[int, ...] | None) -> None:
        super().__init__()
        check.positive("barrier", barrier)
        check.number("tilt", tilt)
        self.event = event or (2,)
        self.barrier = nn.Parameter(torch.tensor(float(barrier)))
        self.tilt = nn.Parameter(torch.tensor(float(tilt)))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        x = x.flatten(1)
        first, rest = x[:, 0], x[:, 1:]
        return self.barrier * (first.square() - 1).square() + self.tilt * first + 0.5 * rest.square().sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        flat = x.flatten(1)
        first = flat[:, :1]
        slope = 4 * self.barrier * first * (first.square() - 1) + self.tilt
        return self(x), torch.cat([slope, flat[:, 1:]], 1).view(x.shape)
