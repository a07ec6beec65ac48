"""XY model: closed forms of log Z against sums over a grid, its derivatives, its draws, and what it refuses."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import ive
from scipy.stats import kstest, vonmises

from ebm_cli.check import InputError
from ebm_cli.energy.xy import XY

pytestmark = pytest.mark.usefixtures("float64")


def grid(d: int, points: int = 24) -> torch.Tensor:
    axis = 2 * math.pi * torch.arange(points) / points - math.pi
    return torch.stack(torch.meshgrid(*[axis] * d, indexing="ij"), -1).view(-1, d)


def summed_log_z(energy: XY, temperature: float) -> torch.Tensor:
    # The trapezoid rule converges faster than any power of the spacing, because E has the period.
    x = grid(energy.count)
    return (-energy(x) / temperature).logsumexp(0) + energy.count * math.log(2 * math.pi) - math.log(len(x))


@pytest.mark.parametrize("temperature", [0.4, 3.0])
@pytest.mark.parametrize(
    ("coupling", "field", "graph", "event"),
    [
        (1.0, 0.0, "lattice", (3,)),
        (-0.7, 0.0, "lattice", (3,)),
        (0.8, 0.0, "lattice", (4, 1)),
        (-1.1, 0.0, [[0, 1], [1, 2]], (3,)),
        (0.0, 0.9, "lattice", (3,)),
        (1.0, 0.0, "lattice", (2,)),
    ],
)
def test_closed_form_and_its_derivatives_are_those_of_the_sum_over_a_grid(
    coupling: float, field: float, graph: object, event: tuple[int, ...], temperature: float
) -> None:
    energy = XY(coupling, field, graph, False, event)
    closed, summed = energy.log_partition(temperature), summed_log_z(energy, temperature)
    assert closed.item() == pytest.approx(summed.item(), abs=1e-10)
    for parameter in (energy.coupling, energy.field):
        own = torch.autograd.grad(closed, parameter, retain_graph=True, allow_unused=True)[0]
        true = torch.autograd.grad(summed, parameter, retain_graph=True)[0]
        own = torch.zeros_like(true) if own is None else own
        assert torch.allclose(own, true, atol=1e-9)


def test_the_closed_form_of_a_cold_ring_does_not_overflow() -> None:
    # At low T angles differ by little, and each of the differences but one has a normal distribution.
    n, K = 8, 1e5
    log_z = XY(1.0, 0.0, "lattice", False, (n,)).log_z(1 / K)
    assert log_z == pytest.approx(
        n * K + n * math.log(2 * math.pi) + n * math.log(ive(0, K)) + 0.5 * math.log(2 * math.pi * K / n), abs=1e-3
    )


@pytest.mark.parametrize(("kappa", "mean"), [(0.0, 0.0), (0.3, 1.0), (0.999, 2.0), (1.0, -3.0), (30.0, 0.5)])
def test_draws_of_independent_sites_have_von_mises_distributions(
    kappa: float, mean: float, rng: torch.Generator
) -> None:
    energy = XY(0.0, 0.0, "lattice", True, (1,))
    with torch.no_grad():
        energy.field[0] = kappa * torch.tensor([math.cos(mean), math.sin(mean)])
    x = energy.draw(20_000, 1.0, rng).flatten().numpy()
    # 4 standard errors of a two-sided normal.
    centered = np.angle(np.exp(1j * (x - mean)))
    law = vonmises(kappa).cdf if kappa else (lambda x: (x + math.pi) / (2 * math.pi))
    assert (-math.pi <= x).all() and (x < math.pi).all() and kstest(centered, law).pvalue > 6.3e-5


def test_the_analytic_gradient_is_that_of_the_energy() -> None:
    energy = XY(0.7, 0.4, "complete", True, (2, 3))
    with torch.no_grad():
        energy.coupling.normal_(), energy.field.normal_()
    x = torch.randn(5, 2, 3, requires_grad=True)
    e = energy(x)
    own_e, own_grad = energy.energy_and_grad(x.detach())
    assert torch.allclose(own_e, e) and torch.allclose(own_grad, torch.autograd.grad(e.sum(), x)[0])


def test_the_order_parameter_is_one_for_equal_directions_and_zero_for_opposite_ones() -> None:
    energy = XY(1.0, 0.0, "lattice", False, (2,))
    assert energy.order_parameter(torch.tensor([[1.0, 1.0 - 2 * math.pi], [1.0, 1.0 + math.pi]])).tolist() == [
        pytest.approx(1.0),
        pytest.approx(0.0, abs=1e-12),
    ]


@pytest.mark.parametrize(
    ("field", "graph", "event"), [(0.1, "lattice", (5,)), (0.0, "complete", (4,)), (0.0, "lattice", (3, 3))]
)
def test_there_is_no_closed_form_elsewhere(field: float, graph: str, event: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ring"):
        XY(1.0, field, graph, False, event).log_z(1.0)


def test_coupled_sites_have_no_exact_draws(rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match="independent"):
        XY(1.0, 0.0, "lattice", False, (3,)).draw(2, 1.0, rng)


def test_energy_has_the_period_in_each_coordinate() -> None:
    energy = XY(1.0, 0.3, "lattice", False, (3, 3))
    x = torch.randn(4, 3, 3)
    for i, j in product(range(3), repeat=2):
        shift = torch.zeros(3, 3)
        shift[i, j] = 2 * math.pi
        assert torch.allclose(energy(x), energy(x + shift))


def test_a_wrong_graph_is_named() -> None:
    with pytest.raises(InputError, match=r"^graph must"):
        XY(1.0, 0.0, "ring", False, (4,))
