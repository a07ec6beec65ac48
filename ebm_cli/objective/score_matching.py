"""Score matching with the exact trace: training without chains and without log Z."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.objective import Objective, Outcome, fisher, refuse_repeats, temperature_of
from ebm_cli.sampler import Sampler


class ScoreMatching(Objective):
    """loss = mean ½‖∇E(x)‖²/T² − tr ∇²E(x)/T.

    Hyvärinen, 2005 (JMLR 6, 695), eq. 4, with the score ψ = −∇E/T. It differs by a constant from the Fisher divergence
    ½E‖∇log p_data − ψ‖², so its optimum is the data's law where the model can be it, and where it cannot, another
    than maximum likelihood's. On a Gaussian with the mean known it is the maximum-likelihood estimate on every sample.
    Modes with nothing between them leave no trace of their masses. The trace costs a backward pass a dimension.

    limit: dimensions ≥ 1 up to which the trace is taken. Logs fisher_divergence where the data's density is known.
    """

    def __init__(self, limit: int, event: tuple[int, ...], data: Data, sampler: Sampler) -> None:
        super().__init__()
        check.count("limit", limit)
        d = math.prod(event)
        if d > limit:
            raise InputError(
                f"limit must be >= the {d} dimensions, each a backward pass a step, got {limit}: raise it, or use "
                "objective=sliced_score_matching"
            )
        refuse_repeats(data)
        self.data = data
        self.temperature = temperature_of(sampler)

    @property
    def has_chains(self) -> bool:
        return False

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:  # noqa: ARG002
        T = self.temperature
        x, e, grad = slope(energy, batch.x)
        loss = 0.5 * square(grad).mean() / T**2 - trace(grad, x).mean() / T
        norm = square(grad.detach()).sqrt().mean()
        measures = fisher(energy, batch.x, self.data, T)
        return Outcome(loss, batch.x, e, clean=batch.clean, scalars={"input_grad_norm": norm}, measures=measures)


def slope(
    energy: nn.Module, x: Float[Tensor, "n *event"]
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """x as a variable, E(x), and ∇E(x) to be differentiated again."""
    x = x.detach().requires_grad_(True)
    e = energy(x)
    (grad,) = torch.autograd.grad(e.sum(), x, create_graph=True)
    return x, e, grad


def square(grad: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """‖∇E‖² of each row."""
    return grad.flatten(1).square().sum(1)


def trace(grad: Float[Tensor, "n *event"], x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Σᵢ ∂(∇E)ᵢ/∂xᵢ of each row, a backward pass a coordinate."""
    parts = []
    for i, component in enumerate(grad.flatten(1).unbind(1)):
        (row,) = torch.autograd.grad(component.sum(), x, create_graph=True, materialize_grads=True)
        parts.append(row.flatten(1)[:, i])
    return torch.stack(parts, 1).sum(1)
