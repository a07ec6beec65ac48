"""The energies of `brackets`, all at T = 1, each with its exact log Z; needs only torch, scipy and jaxtyping."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ebm_cli.energy.double_well import DoubleWell
from ebm_cli.energy.funnel import Funnel
from ebm_cli.energy.muller_brown import MullerBrown
from ebm_cli.energy.phi4 import Phi4
from scripts.hard_energies import (
    LOG_2PI,
    Formula,
    integral,
    log_student,
    log_z_by_transfer_matrix,
    normals,
    spike,
    student,
    walls,
)


@dataclass(frozen=True)
class Case:
    """An energy of states (n, d).

    energy: a function that makes the energy.
    exact: a function that returns log Z by a closed form, an enumeration or a quadrature.
    """

    d: int
    energy: Callable[[], nn.Module]
    exact: Callable[[], float]


class GaussianBernoulli(nn.Module):
    """The marginal energy of a Gaussian–Bernoulli RBM: E(v) = ½‖v‖² − Σⱼ log(1 + exp(cⱼ + wⱼ·v)).

    exp(−E) is a sum over hidden states h of Gaussians at Wh, so that
    log Z = d/2·log 2π + log Σ_h exp(c·h + ½‖Wh‖²). Here cⱼ = −½‖wⱼ‖², and entries of W are N(0, s²).
    """

    def __init__(self, d: int, hidden: int, s: float) -> None:
        super().__init__()
        W = s * torch.randn(hidden, d, generator=torch.Generator().manual_seed(hidden), dtype=torch.float64)
        self.register_buffer("W", W.float())
        self.register_buffer("c", -0.5 * self.get_buffer("W").square().sum(1))

    def forward(self, v: Tensor) -> Tensor:
        W, c = self.get_buffer("W"), self.get_buffer("c")
        return 0.5 * v.square().sum(1) - nn.functional.softplus(c + v @ W.T).sum(1)

    def log_z(self) -> float:
        W, c = self.get_buffer("W").double(), self.get_buffer("c").double()
        h = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(c))), dtype=torch.float64)
        return W.shape[1] / 2 * LOG_2PI + float(torch.logsumexp(h @ c + 0.5 * (h @ W).square().sum(1), 0))


def axis(d: int, *values: float) -> list[list[float]]:
    """Return points on the first axis of d dimensions."""
    return [[value] + [0.0] * (d - 1) for value in values]


def two_modes(d: int, first: float, second: float, weights: list[float]) -> Case:
    """Return −log Σ w exp(−‖x − m‖²/2) with means on the first axis."""
    scaled = [w * math.exp(d / 2 * LOG_2PI) for w in weights]
    energy = Formula(lambda x: normals(x, axis(d, first, second), [1.0, 1.0], scaled))
    return Case(d, lambda: energy, lambda: d / 2 * LOG_2PI + math.log(math.fsum(weights)))


def mixture(means: list[list[float]], stds: list[float], weights: list[float]) -> Case:
    """Return −log Σ w N(x; m, s²I)."""
    energy = Formula(lambda x: normals(x, means, stds, weights))
    return Case(len(means[0]), lambda: energy, lambda: math.log(math.fsum(weights)))


def restricted_boltzmann_machine(d: int, hidden: int, s: float) -> Case:
    return Case(d, lambda: GaussianBernoulli(d, hidden, s), lambda: GaussianBernoulli(d, hidden, s).log_z())


def muller_brown() -> float:
    """Return log Z by quadrature with 500 × 500 points of Gauss and Legendre."""
    nodes, weights = (torch.tensor(each) for each in np.polynomial.legendre.leggauss(500))
    x = torch.cartesian_prod(4 * nodes, 0.5 + 4.5 * nodes)
    e = MullerBrown(0.05).double()(x)
    return math.log(4 * 4.5) + float(torch.logsumexp(torch.outer(weights, weights).flatten().log() - e, 0))


def double_well() -> float:
    """Return log Z of `DoubleWell(12, 0.5)` in 8-D: a quadrature along x₁ times seven Gaussians."""
    return 7 / 2 * LOG_2PI + integral(lambda x: math.exp(-12 * (x * x - 1) ** 2 - 0.5 * x), -3.0, 3.0, -1.0, 0.0, 1.0)


CASES: dict[str, Case] = {
    "equal Gaussians at 1 and −15": two_modes(1, 1.0, -15.0, [1.0, 1.0]),
    "equal Gaussians at 1 and −15, 5-D": two_modes(5, 1.0, -15.0, [1.0, 1.0]),
    "0.99 at 15, 0.01 at −15": two_modes(1, 15.0, -15.0, [0.99, 0.01]),
    "0.99 at 15, 0.01 at −15, 5-D": two_modes(5, 15.0, -15.0, [0.99, 0.01]),
    "0.99 at 40, 0.01 at −40": two_modes(1, 40.0, -40.0, [0.99, 0.01]),
    "0.99 at 40, 0.01 at −40, 5-D": two_modes(5, 40.0, -40.0, [0.99, 0.01]),
    "funnel": Case(10, lambda: Funnel(3.0, None), lambda: Funnel(3.0, None).log_z(1.0)),
    "Müller–Brown": Case(2, lambda: MullerBrown(0.05), muller_brown),
    "φ⁴, ring of 8": Case(8, lambda: Phi4(-1.0, 1.0, None), lambda: log_z_by_transfer_matrix(-1.0, 1.0, 8, 1.0)),
    "double well, tilted": Case(8, lambda: DoubleWell(12.0, 0.5, (8,)), double_well),
    "a dent of sd 0.02 in the mode": Case(5, lambda: Formula(lambda x: spike(x, 0.7, 0.02)), lambda: math.log(10)),
    "a dent of sd 0.3, 12 away": mixture(axis(6, 0.0, 12.0), [1.0, 0.3], [0.5, 0.5]),
    "Cauchy": Case(1, lambda: Formula(lambda x: torch.log1p(x[:, 0] ** 2)), lambda: math.log(math.pi)),
    "Student, ν = 3": Case(5, lambda: Formula(lambda x: student(x, 3.0)), lambda: log_student(3.0, 5)),
    "RBM, 4 hidden units": restricted_boltzmann_machine(6, 4, 1.0),
    "RBM, 10 hidden units": restricted_boltzmann_machine(16, 10, 0.7),
    "unequal mixture": mixture(
        [[0.0] * 10, [6.0] + [0.0] * 9, [0.0, -8.0] + [0.0] * 8], [1.0, 0.5, 2.0], [0.6, 0.3, 0.1]
    ),
    "steep walls": Case(5, lambda: Formula(lambda x: walls(x, x.abs().amax(1) <= 1)), lambda: 5 * math.log(2)),
    "10⁷ + ‖x‖²/2": Case(5, lambda: Formula(lambda x: 1e7 + 0.5 * x.square().sum(1)), lambda: 5 / 2 * LOG_2PI - 1e7),
}
