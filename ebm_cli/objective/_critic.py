"""The critic of reverse_kl, and the variance of the gradient that it gives."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy._network import perceptron
from ebm_cli.rng import signs_like

DIRECTIONS = 8


class Critic(nn.Module):
    """c(z) with z the flattened state, in units of the mean and standard deviation of the training samples.

    kind: quadratic, or mlp, of `depth` hidden layers of `width` units. The last layer does not have a bias, because
        only differences of c matter.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, kind: str, width: int, depth: int, data: Data) -> None:
        super().__init__()
        rows = noisy_split(data, "train", 0).x.flatten(1)
        size = rows.shape[1]
        self.register_buffer("mean", rows.mean(0))
        # All coordinates have the same scale. Otherwise a coordinate that hardly varies would be amplified.
        self.register_buffer("std", rows.var(0).mean().sqrt())
        self.net = QuadraticForm(size) if kind == "quadratic" else perceptron(size, width, depth, 1, bias=False)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.net((x.flatten(1) - self.mean) / self.std).squeeze(1)


class QuadraticForm(nn.Module):
    """½zᵀAz + bᵀz, initially 0."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.zeros(size, size))
        self.b = nn.Parameter(torch.zeros(size))

    def forward(self, z: Float[Tensor, "n size"]) -> Float[Tensor, "n 1"]:
        return (0.5 * (z @ self.A * z) + z * self.b).sum(1, keepdim=True)


def gradient_variance(
    energy: nn.Module, x: Float[Tensor, "n *event"], f: Float[Tensor, " n"], T: float
) -> Float[Tensor, ""]:
    """Return Σ over parameters of Var(f·s)/n, s = −(∇_θE − mean ∇_θE)/T: the variance of the mean of n terms.

    It is estimated from derivatives along a few random sign vectors v, by E[(vᵀa)²] = ‖a‖². The vectors are the same at
    every call.
    """
    parameters = [p for p in energy.parameters() if p.requires_grad]
    rng = torch.Generator(x.device).manual_seed(0)
    weight = torch.ones_like(f, requires_grad=True)
    grads = torch.autograd.grad((weight * energy(x)).sum(), parameters, create_graph=True, materialize_grads=True)
    terms = []
    for _ in range(DIRECTIONS):
        along = torch.stack([(g * signs_like(g, rng)).sum() for g in grads]).sum()
        (slope,) = torch.autograd.grad(along, weight, retain_graph=True)
        terms.append(f * (slope.mean() - slope) / T)
    return torch.stack(terms).var(1).mean() / len(f)
