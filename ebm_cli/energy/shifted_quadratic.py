"""Shifted quadratic energy: the Gaussian whose negative phase has a closed form."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import event_shape
from ebm_cli.energy._gaussian import GaussianEnergy


class ShiftedQuadratic(GaussianEnergy):
    """E(x) = ½‖x‖² − θᵀx, the Gaussian N(θ, T·I).

    log Z(T) = d/2·log(2πT) + ‖θ‖²/(2T). The negative phase is E_p[∇_θE] = −θ. Therefore gradient descent on the
    negative log-likelihood moves θ to the mean of the data.

    mean: initial mean, one number for all coordinates or a list with one per coordinate.
    event: shape of one state; by default the shape of the list `mean`.
    """

    def __init__(self, mean: float | list[float], event: tuple[int, ...] | None) -> None:
        super().__init__()
        for value in mean if isinstance(mean, list) else [mean]:
            check.number("mean", value)
        self.event = event = event_shape("mean", mean, event)
        values = torch.tensor(mean, dtype=torch.get_default_dtype())
        self.theta = nn.Parameter(values.reshape(event) if isinstance(mean, list) else values.repeat(event))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return (0.5 * x.square() - self.theta * x).flatten(1).sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        return self(x), x - self.theta

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        theta = self.theta.double()
        return 0.5 * theta.numel() * math.log(2 * math.pi * temperature) + theta.square().sum() / (2 * temperature)

    def moments(self, temperature: float) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
        theta = self.theta.detach()
        return theta, torch.full_like(theta, temperature)
