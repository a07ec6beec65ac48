"""Laplace's approximation: Hessians of an energy, and the Gaussian integral around a minimum."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import frozen


def hessians(energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d d"]:
    """Return ∂²E/∂x∂x at each row in double precision, exact, by d backward passes."""
    with frozen(energy), torch.enable_grad():
        x = x.detach().requires_grad_(True)
        (grad,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
        flat = grad.flatten(1)
        n, d = flat.shape
        if not flat.requires_grad:
            return torch.zeros(n, d, d, dtype=torch.float64, device=x.device)
        rows = [torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True, materialize_grads=True) for i in range(d)]
    full = torch.stack([row.flatten(1) for (row,) in rows], 1).double()
    return (full + full.mT) / 2


def laplace_log_mass(
    e: Float[Tensor, " m"], hessian: Float[Tensor, "m d d"], temperature: float
) -> Float[Tensor, " m"]:
    """Return −E/T + d/2·log(2πT) − ½ log det H: log ∫ exp(−E/T) over a well with E expanded to second order.

    Exact for a quadratic well. For a smooth well the relative error is proportional to T at low T (Laplace, 1774).

    hessian: H, positive definite.
    """
    d, T = hessian.shape[1], temperature
    log_det = torch.linalg.cholesky(hessian).diagonal(dim1=1, dim2=2).log().sum(1) * 2
    return -e.double() / T + d / 2 * math.log(2 * math.pi * T) - 0.5 * log_det
