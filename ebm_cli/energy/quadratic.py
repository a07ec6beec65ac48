"""Quadratic energy: a Gaussian at the origin, with everything known in closed form."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import event_shape
from ebm_cli.energy._gaussian import GaussianEnergy


class Quadratic(GaussianEnergy):
    """E(x) = ½ Σᵢ aᵢ xᵢ², the Gaussian N(0, T·diag(1/a)).

    Z(T) = Πᵢ √(2πT/aᵢ). `a` is trainable: for data of variance s², maximum likelihood at T = 1 gives 1/s². SGLD's
    stationary variance is (T/a)/(1 − aη/2).

    a: one curvature for all coordinates, or a list with one per coordinate (> 0).
    event: shape of one state; by default the shape of the list `a`.
    """

    def __init__(self, a: float | list[float], event: tuple[int, ...] | None) -> None:
        super().__init__()
        curvatures = a if isinstance(a, list) else [a]
        for curvature in curvatures:
            check.positive("a", curvature)
        self.event = event = event_shape("a", a, event)
        values = torch.tensor(curvatures, dtype=torch.get_default_dtype())
        self.a = nn.Parameter(values.reshape(event) if isinstance(a, list) else values.squeeze(0))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return 0.5 * (self.a * x.square()).flatten(1).sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        grad = self.a * x
        return 0.5 * (grad * x).flatten(1).sum(1), grad

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        a = self.a.double().expand(self.event)
        return 0.5 * torch.log(2 * math.pi * temperature / a).sum()

    def moments(self, temperature: float) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
        a = self.a.detach().expand(self.event)
        return torch.zeros_like(a), temperature / a
