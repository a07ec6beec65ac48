"""Scores: the differentiable gradient of E, its trace, and its difference from the score of another density."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad, frozen
from ebm_cli.rng import signs_like


def differentiable_grad(
    energy: nn.Module, x: Float[Tensor, "n *event"], **condition: Any
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """Return x as a variable, E(x), and ∇E(x) that can be differentiated again."""
    x = x.detach().requires_grad_(True)
    e = energy(x, **condition)
    (grad,) = torch.autograd.grad(e.sum(), x, create_graph=True)
    return x, e, grad


def squared_norm(grad: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Return ‖∇E‖² per row."""
    return grad.flatten(1).square().sum(1)


def trace(
    grad: Float[Tensor, "n *event"], x: Float[Tensor, "n *event"], create_graph: bool = True
) -> Float[Tensor, " n"]:
    """Return Σᵢ ∂gradᵢ/∂xᵢ per row, with one backward pass per coordinate."""
    parts = []
    for i, component in enumerate(grad.flatten(1).unbind(1)):
        (row,) = torch.autograd.grad(
            component.sum(), x, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        parts.append(row.flatten(1)[:, i])
    return torch.stack(parts, 1).sum(1)


def projected_trace(
    grad: Float[Tensor, "n *event"], x: Float[Tensor, "n *event"], projections: int, rng: torch.Generator
) -> Float[Tensor, " n"]:
    """Return the mean of vᵀ(∂grad/∂x)v over random sign vectors v: an unbiased trace (Hutchinson, 1990)."""
    parts = []
    for _ in range(projections):
        v = signs_like(x, rng)
        (row,) = torch.autograd.grad((v * grad).sum(), x, retain_graph=True, materialize_grads=True)
        parts.append((v * row).flatten(1).sum(1))
    return torch.stack(parts).mean(0)


def density_score(log_prob: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
    """Return ∇log p(x)."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (score,) = torch.autograd.grad(log_prob(x).sum(), x)
    return score


def score_difference(
    energy: nn.Module, x: Float[Tensor, "n *event"], log_prob: Callable[[Tensor], Tensor], T: float
) -> Float[Tensor, "n *event"]:
    """Return ∇log p(x) + ∇E(x)/T, the score of a density p minus that of the energy."""
    with frozen(energy):
        _, grad = energy_and_grad(energy, x)
    return density_score(log_prob, x) + grad / T
