"""Rays: what has no integral is refused in any dimension and direction, and what has one is let pass."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.energy import frozen
from ebm_cli.partition.rays import not_normalizable
from ebm_cli.partition.reference_states import reference_states
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy, whiten
from scripts.hard_energies import Formula

DIMENSIONS = (2, 5, *(pytest.param(d, marks=pytest.mark.slow) for d in (1, 3, 16)))


def turned(x: Tensor) -> Tensor:
    """In coordinates of a fixed rotation."""
    d = x.shape[1]
    return x @ torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(d)))[0]


def by_chains(f: Callable[[Tensor], Tensor], d: int) -> WhitenedEnergy:
    """Coordinates from short chains of the energy itself."""
    integrand = Integrand(Formula(f), 1.0, (d,), None, 0)
    return whiten(integrand, reference_states(integrand))


def told(space: WhitenedEnergy, budget: Budget | None = None) -> str:
    with frozen(space), torch.no_grad():
        return not_normalizable(space, budget or Budget())


INFINITE: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": lambda x: 0 * x.sum(1),
    "a trough": lambda x: -30 * torch.exp(-0.5 * x.square().sum(1)),
    "a deep trough": lambda x: -1000 * torch.exp(-0.5 * x.square().sum(1)),
    "a wall of finite height": lambda x: 50 * torch.tanh(x.square().sum(1)),
    "1/(1 + |x|) in each": lambda x: torch.log1p(x.abs()).sum(1),
    "1/(1 + |x|)^0.7 in each": lambda x: 0.7 * torch.log1p(x.abs()).sum(1),
    "shells of equal mass": lambda x: x.shape[1] / 2 * torch.log1p(x.square().sum(1)),
    "falling at last": lambda x: (0.5 * x.square() - 0.001 * x**4).sum(1),
    "falling along a line": lambda x: 0.5 * turned(x)[:, 1:].square().sum(1) - 0.1 * turned(x)[:, 0],
    "flat along a line": lambda x: 0.5 * turned(x)[:, 1:].square().sum(1),
    "logarithmic along a line": lambda x: (
        0.5 * turned(x)[:, 1:].square().sum(1) + 0.4 * torch.log1p(turned(x)[:, 0].square())
    ),
}
FINITE: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda x: 0.5 * x.square().sum(1),
    "Laplace, turned": lambda x: turned(x).abs().sum(1),
    "weakly confined along a line": lambda x: 0.5 * turned(x)[:, 1:].square().sum(1) + 1e-3 * turned(x)[:, 0].abs(),
    "Student, ν = 1": lambda x: (1 + x.shape[1]) / 2 * torch.log1p(x.square().sum(1)),
    "1/(1 + |x|)^1.5 in each": lambda x: 1.5 * torch.log1p(x.abs()).sum(1),
    "a box": lambda x: torch.where((x.abs() < 1).all(1), 0.0, math.inf) + 0 * x.sum(1),
    "a constant inside a far wall": lambda x: torch.where(x.norm(dim=1) < 1e3, 0.0, math.inf) + 0 * x.sum(1),
}


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("name", INFINITE)
def test_no_integral_is_told(name: str, d: int) -> None:
    assert "no finite integral" in told(by_chains(INFINITE[name], d))


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("name", FINITE)
def test_an_integral_is_let_pass(name: str, d: int) -> None:
    assert told(by_chains(FINITE[name], d)) == ""


def test_every_evaluation_is_counted_as_spent() -> None:
    counted: list[int] = []

    def f(x: Tensor) -> Tensor:
        counted.append(len(x))
        return 0.5 * x.square().sum(1)

    space = WhitenedEnergy(Integrand(Formula(f), 1.0, (3,), None, 0), torch.zeros(3), torch.eye(3))
    budget = Budget()
    told(space, budget)
    # Each step asks for the energy in double precision beside its gradient.
    assert budget.used <= sum(counted) <= 2.5 * budget.used
