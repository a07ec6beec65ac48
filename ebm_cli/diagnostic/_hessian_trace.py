"""The trace of the Hessian, ΔE, and ‖∇E‖² along chains."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import frozen
from ebm_cli.rng import generator, signs_like
from ebm_cli.wells.descent import states_of

MAX_EXACT_DIMENSION = 16
CHUNK = 4096


@dataclass(frozen=True)
class HessianTrace:
    """The means per chain of ‖∇E‖² and of ΔE."""

    squares: Float[np.ndarray, " chain"]
    laplacians: Float[np.ndarray, " chain"]


def hessian_trace(energy: nn.Module, x: Float[np.ndarray, "chain draw *event"]) -> HessianTrace:
    """Return the chain means of ‖∇E‖² and ΔE: exact up to 16 dimensions, else Hutchinson's estimate (1990)."""
    chains, draws = x.shape[:2]
    states = states_of(energy, x.reshape(chains * draws, *x.shape[2:]))
    rng = generator(0, "effective_temperature", states.device)
    with frozen(energy):
        parts = [square_and_laplacian(energy, part, rng) for part in states.split(CHUNK)]
    both = (torch.cat(values).double().view(chains, draws).mean(1).cpu().numpy() for values in zip(*parts, strict=True))
    return HessianTrace(*both)


def square_and_laplacian(
    energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return ‖∇E‖² and ΔE of each state."""
    x = x.detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
    square = grad.detach().flatten(1).square().sum(1)
    laplacian = torch.zeros_like(square)
    if not grad.requires_grad:
        return square, laplacian
    for probe in _probes(x, rng):
        (row,) = torch.autograd.grad((grad * probe).sum(), x, retain_graph=True, materialize_grads=True)
        laplacian += (row * probe).flatten(1).sum(1)
    return square, laplacian


def _probes(x: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, "probes n *event"]:
    """Return the unit vectors up to 16 dimensions, else one random sign vector per state."""
    size = x[0].numel()
    if size <= MAX_EXACT_DIMENSION:
        eye = torch.eye(size, dtype=x.dtype, device=x.device)
        return eye.view(size, 1, *x.shape[1:]).expand(size, *x.shape)
    return signs_like(x, rng)[None]
