"""Annealed importance sampling as in most scripts (Neal, 2001), for comparison."""

import itertools
import math

import torch
from torch import Tensor, nn

PATHS, TEMPERATURES, LEAPFROG = 64, 1000, 5


def plain_annealing(energy: nn.Module, d: int, seed: int) -> tuple[float, float]:
    """Return log ⟨w⟩ and its standard error sd(w)/(⟨w⟩√n).

    Paths U_β = (1 − β)‖x‖²/2 + βE(x) lead from a standard normal distribution to exp(−E) at equidistant β. One HMC
    trajectory follows each β. Its step size grows by 2 % if more than 65 % are accepted, and shrinks by 2 % otherwise.
    """
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(PATHS, d, generator=rng)
    log_w, step = torch.full((PATHS,), d / 2 * math.log(2 * math.pi), dtype=torch.float64), 0.1
    betas = torch.linspace(0, 1, TEMPERATURES + 1, dtype=torch.float64).tolist()
    for before, beta in itertools.pairwise(betas):
        with torch.no_grad():
            log_w += (beta - before) * (0.5 * x.square().sum(1).double() - energy(x).double())
        x, accepted = trajectory(energy, beta, x, step, rng)
        step *= 1.02 if accepted > 0.65 else 1 / 1.02
    w = (log_w - log_w.max()).exp()
    return float(log_w.max() + w.mean().log()), float(w.std() / w.mean() / math.sqrt(PATHS))


def trajectory(energy: nn.Module, beta: float, x: Tensor, step: float, rng: torch.Generator) -> tuple[Tensor, float]:
    """Return the states after one HMC trajectory, and the fraction that was accepted."""

    def value_and_grad(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        u = (1 - beta) * 0.5 * x.square().sum(1) + beta * energy(x)
        return u.detach(), torch.autograd.grad(u.sum(), x)[0]

    u, grad = value_and_grad(x)
    momentum = torch.randn(x.shape, generator=rng)
    total, y = u + 0.5 * momentum.square().sum(1), x
    for _ in range(LEAPFROG):
        momentum = momentum - 0.5 * step * grad
        y = y + step * momentum
        u, grad = value_and_grad(y)
        momentum = momentum - 0.5 * step * grad
    accept = torch.rand(len(x), generator=rng).log() < total - u - 0.5 * momentum.square().sum(1)
    return torch.where(accept[:, None], y, x), float(accept.double().mean())
