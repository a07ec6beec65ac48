"""Energies with a known log Z that are difficult to integrate, as functions of states; needs only torch and scipy."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.integrate import quad
from torch import Tensor, nn

LOG_2PI = math.log(2 * math.pi)


class Formula(nn.Module):
    """An energy given by a function of states (n, d)."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


def integral(f: Callable[[float], float], low: float, high: float, *points: float) -> float:
    """Return log ∫ f by scipy, split at the given points."""
    cuts = [low, *sorted(points), high]
    parts = (quad(f, a, b, epsabs=0, epsrel=1e-10, limit=500)[0] for a, b in itertools.pairwise(cuts))
    return math.log(sum(parts))


def walls(x: Tensor, inside: Tensor) -> Tensor:
    """Return 0 inside and +∞ outside."""
    return torch.where(inside, 0.0, math.inf) + 0 * x.sum(1)


def normals(x: Tensor, means: list[list[float]], stds: list[float], weights: list[float]) -> Tensor:
    """Return −log Σ w N(x; m, s²I), for which log Z = log Σ w."""
    d = x.shape[1]
    parts = [
        math.log(w) - 0.5 * ((x - x.new_tensor(m)) / s).square().sum(1) - d * math.log(s) - d / 2 * LOG_2PI
        for m, s, w in zip(means, stds, weights, strict=True)
    ]
    return -torch.logsumexp(torch.stack(parts), 0)


def spike(x: Tensor, at: float, s: float) -> Tensor:
    """Return the energy of a unit normal plus a spike with nine times its mass."""
    d = x.shape[1]
    return normals(x, [[0.0] * d, [at] * d], [1.0, s], [1.0, 9.0])


def student(x: Tensor, nu: float) -> Tensor:
    """Return the energy of Student's t with ν degrees of freedom: the mass beyond radius R falls as R^−ν."""
    return (nu + x.shape[1]) / 2 * torch.log1p(x.square().sum(1) / nu)


def log_student(nu: float, d: int) -> float:
    """Return log Z of `student`."""
    return math.lgamma(nu / 2) - math.lgamma((nu + d) / 2) + d / 2 * math.log(nu * math.pi)


def log_z_by_transfer_matrix(m2: float, coupling: float, sites: int, T: float) -> float:
    """Return log Z of φ⁴ on a ring: log tr Kᴸ with K(φ, φ') = exp(−(V(φ) + V(φ'))/2T − (φ − φ')²/2T)·Δφ on a grid."""
    φ, spacing = np.linspace(-8, 8, 801, retstep=True)
    v = 0.5 * m2 * φ**2 + 0.25 * coupling * φ**4
    k = np.exp(-(v[:, None] + v[None]) / (2 * T) - (φ[:, None] - φ[None]) ** 2 / (2 * T)) * spacing
    eigenvalues = np.linalg.eigvalsh(k)
    top = eigenvalues[-1]
    return float(sites * np.log(top) + np.log(((eigenvalues / top) ** sites).sum()))
