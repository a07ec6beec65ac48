"""Every method that applies within four of its own errors of a truth known otherwise, at two temperatures each."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn

from ebm_cli.chain.budget import Budget
from ebm_cli.energy.mlp import MLP
from ebm_cli.partition import log_z
from ebm_cli.partition.quadrature import MAX_DIMENSIONS
from ebm_cli.path._coordinates import Integrand
from scripts.hard_energies import log_z_by_transfer_matrix
from tests.contract import build, log_integral
from tests.partition.integrand import normal_rows
from tests.partition.paths import settings

pytestmark = pytest.mark.usefixtures("float64")

APART = 2.4


@dataclass(frozen=True)
class Case:
    """An energy, its log Z at a temperature, rows about it, and how much a round must be for its weights to count."""

    energy: Callable[[], nn.Module]
    truth: Callable[[nn.Module, float], float]
    rows: Callable[[float], Tensor]
    temperatures: tuple[float, float]
    size: dict[str, int]


def closed_form(energy: Any, T: float) -> float:
    return energy.log_z(T)


def quadratic(d: int) -> nn.Module:
    return build("energy", "quadratic", {"a": torch.linspace(0.5, 4, d).tolist()}, event=(d,))


def mixture() -> nn.Module:
    """Two wells of equal width along the first coordinate, so that the other fifteen factorise."""
    means = [[APART / 2] + 15 * [0.0], [-APART / 2] + 15 * [0.0]]
    return build("energy", "gaussian_mixture", {"means": means, "stds": [1.0, 1.0], "weights": [0.3, 0.7]})


def by_first_coordinate(_: nn.Module, T: float) -> float:
    """One integral, and ∫ N(x; 0, 1)^{1/T} dx = √T·(2π)^{½ − 1/2T} for each of the others."""

    def density(x: float) -> float:
        parts = (0.3 * math.exp(-0.5 * (x - APART / 2) ** 2), 0.7 * math.exp(-0.5 * (x + APART / 2) ** 2))
        return (sum(parts) / math.sqrt(2 * math.pi)) ** (1 / T)

    along, _ = quad(density, -30, 30, epsabs=1e-13, limit=200)
    return math.log(along) + 15 * (0.5 * math.log(T) + (0.5 - 0.5 / T) * math.log(2 * math.pi))


def ring(energy: Any, T: float) -> float:
    return log_z_by_transfer_matrix(energy.mass_squared.item(), energy.coupling.item(), 8, T)


def perceptron() -> nn.Module:
    """Weights of a fixed seed, large enough to bend."""
    torch.manual_seed(0)
    energy = MLP(16, 2, 0, 1.0, None, 1.0, 0, None, (2,), None)
    with torch.no_grad():
        for p in energy.parameters():
            p.mul_(2.0)
    return energy


def by_grid(energy: nn.Module, T: float) -> float:
    return log_integral(lambda x: -energy(x) / T, 2, 25.0, 1001)


SMALL = {"chains": 64, "temperatures": 24, "steps": 150}
CASES = {
    "quadratic 2-D": Case(lambda: quadratic(2), closed_form, lambda T: normal_rows(300, 2, scale=T), (1.0, 2.0), SMALL),
    "quadratic 32-D": Case(
        lambda: quadratic(32), closed_form, lambda T: normal_rows(500, 32, scale=1.4), (1.0, 2.0),
        SMALL | {"temperatures": 60},
    ),
    "quadratic 256-D": Case(
        lambda: quadratic(256), closed_form, lambda T: normal_rows(2000, 256, scale=1.2), (1.0, 2.0),
        SMALL | {"temperatures": 300},
    ),
    "mixture 16-D": Case(
        mixture, by_first_coordinate, lambda T: normal_rows(500, 16, scale=1.2 * T**0.5), (1.0, 2.0), SMALL
    ),
    "funnel 5-D": Case(
        lambda: build("energy", "funnel", {"spread": 0.7}, event=(5,)), closed_form,
        lambda T: normal_rows(500, 5, scale=1.2 * T**0.5), (1.0, 0.5), SMALL | {"temperatures": 60},
    ),
    "φ⁴ on 8 sites": Case(
        lambda: build("energy", "phi4", event=(8,)), ring, lambda T: normal_rows(500, 8), (1.0, 0.5),
        SMALL | {"temperatures": 40, "steps": 300},
    ),
    "perceptron 2-D": Case(perceptron, by_grid, lambda T: normal_rows(300, 2, scale=T**0.5), (1.0, 0.5), SMALL),
}  # fmt: skip
METHODS = ("quadrature", "ais", "smc", "ti", "bridge")
QUICK = {("quadratic 2-D", "smc"), ("mixture 16-D", "bridge"), ("funnel 5-D", "bridge"),
         ("perceptron 2-D", "ais"), ("quadratic 2-D", "quadrature"), ("perceptron 2-D", "quadrature")}  # fmt: skip


def chosen() -> list[Any]:
    """All that applies; what is not quick is slow."""
    every = []
    for name, case in CASES.items():
        for method in METHODS:
            if method == "quadrature" and math.prod(case.rows(1.0).shape[1:]) > MAX_DIMENSIONS:
                continue
            for i, T in enumerate(case.temperatures):
                quick = (name, method) in QUICK and (i == 1 or method == "quadrature")
                every.append(pytest.param(name, method, T, marks=[] if quick else [pytest.mark.slow]))
    return every


@pytest.mark.parametrize(("name", "method", "T"), chosen())
def test_a_method_is_within_four_of_its_errors_of_the_truth(name: str, method: str, T: float) -> None:
    case = CASES[name]
    energy = case.energy()
    truth = case.truth(energy, T)
    asked = Integrand(energy, T, tuple(energy.event), case.rows(T), 0)
    found = log_z(asked, settings(method=method, **case.size), Budget()).estimate
    if method == "quadrature":
        assert found.verdict == "ok" and abs(found.value - truth) < 1e-6
        return
    assert found.value is not None, found.reason
    assert abs(found.value - truth) < 4 * found.se, (found, truth)
    assert found.lower is not None and found.lower < truth
    assert found.upper is None or truth < found.upper
    assert found.upper is not None, found.reason
