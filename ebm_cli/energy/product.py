"""Product of trained runs: states that are likely under all of them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy._composition import TrainedComponent, common_event, common_space, temperatures_of, weights_of


class Product(nn.Module):
    """E(x) = Σᵢ wᵢ Eᵢ(x)/Tᵢ. At T = 1, p ∝ Πᵢ pᵢ^{wᵢ} with pᵢ ∝ exp(−Eᵢ/Tᵢ).

    Hinton, 2002 (Neural Computation 14, 1771), eq. 1, a product of experts. The log Z of each part is a constant
    and cancels. E is dimensionless: temperature 1 gives the product. Z is finite if the Z of all parts are finite,
    because wᵢ > 0.

    runs: two or more runs of one event shape.
    weights: wᵢ per run (> 0), or None for 1 each.
    temperatures: Tᵢ per run (> 0), or None for the temperatures of the training.
    """

    def __init__(
        self, runs: list[TrainedComponent], weights: list[float] | None, temperatures: list[float] | None
    ) -> None:
        super().__init__()
        self.event, self.space = common_event(runs), common_space(runs)
        powers, temperatures = weights_of(runs, weights), temperatures_of(runs, temperatures)
        self.parts = nn.ModuleList(part.energy for part in runs)
        self.scales = [w / T for w, T in zip(powers, temperatures, strict=True)]
        self.notes = [
            f"product: {part.name} at T = {T:g} to the power {w:g}"
            for part, w, T in zip(runs, powers, temperatures, strict=True)
        ]

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return torch.stack([scale * part(x) for scale, part in zip(self.scales, self.parts, strict=True)]).sum(0)
