"""RBM against the enumeration of both layers: its energy at any temperature, log Z, conditionals; its centering."""

import pytest
import torch
from torch import Tensor

from ebm_cli.data._sites import Sites
from ebm_cli.energy.rbm import RBM
from tests.energy.parts import Rows

pytestmark = pytest.mark.usefixtures("float64")
SHAPES = pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (4, 6)])
CENTERED = pytest.mark.parametrize("centered", [True, False])


def states(count: int) -> Tensor:
    return Sites("binary", (count,)).enumerated(0, 2**count, torch.device("cpu"), torch.float64)


def machine(visible: int, hidden: int, centered: bool, rng: torch.Generator) -> RBM:
    energy = RBM(hidden, centered, False, (visible,), None)
    for p in energy.parameters():
        p.data.copy_(torch.randn(p.shape, generator=rng))
    return energy.requires_grad_(False)


def joint(energy: RBM) -> Tensor:
    """E(v, h) of all states of both layers, from the definition."""
    v, h = states(len(energy.a)) - energy.mu, states(len(energy.b)) - energy.offset
    return -(v @ energy.a)[:, None] - (h @ energy.b)[None] - v @ energy.W @ h.T


@SHAPES
@CENTERED
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_energy_and_log_z_at_a_temperature_are_the_sums_over_both_layers(
    visible: int, hidden: int, centered: bool, temperature: float, rng: torch.Generator
) -> None:
    energy = machine(visible, hidden, centered, rng)
    energy.temperature = temperature
    both = -joint(energy) / temperature
    torch.testing.assert_close(energy(states(visible)), -temperature * both.logsumexp(1))
    assert energy.log_z(temperature) == pytest.approx(float(both.logsumexp((0, 1))), rel=1e-12)


@SHAPES
@CENTERED
def test_units_of_one_layer_have_the_conditional_probabilities_of_the_joint(
    visible: int, hidden: int, centered: bool, rng: torch.Generator
) -> None:
    energy = machine(visible, hidden, centered, rng)
    both = (-joint(energy)).exp()
    h_given_v, v_given_h = both / both.sum(1, keepdim=True), both / both.sum(0, keepdim=True)
    torch.testing.assert_close(energy.hidden_logits(states(visible)).sigmoid(), h_given_v @ states(hidden))
    torch.testing.assert_close(energy.visible_logits(states(hidden)).sigmoid(), v_given_h.T @ states(visible))


def test_at_temperature_zero_each_hidden_unit_has_its_value_of_lower_energy(rng: torch.Generator) -> None:
    energy = machine(5, 3, False, rng)
    energy.temperature = 0.0
    torch.testing.assert_close(energy(states(5)), joint(energy).amin(1))


def test_centering_makes_the_gradient_independent_of_which_value_is_called_one(rng: torch.Generator) -> None:
    """The gradients of log p of rows and of the complemented rows, under machines that have equal probabilities."""
    x = (torch.rand(200, 5, generator=rng) < torch.tensor([0.9, 0.1, 0.5, 0.3, 0.8])).double()
    sizes = []
    for rows in (x, 1 - x):
        energy = RBM(3, True, False, (5,), Rows(rows))
        W = torch.linspace(-1, 1, 15).view(5, 3)
        energy.W.data.copy_(W if rows is x else -W)
        loss = energy(rows).mean() + energy.log_partition(1.0)
        (grad,) = torch.autograd.grad(loss, energy.W)
        sizes.append(grad if rows is x else -grad)
    torch.testing.assert_close(sizes[0], sizes[1])


def test_initial_units_are_independent_with_the_rates_of_the_rows(rng: torch.Generator) -> None:
    x = (torch.rand(500, 4, generator=rng) < torch.tensor([0.9, 0.1, 0.5, 0.3])).double()
    energy = RBM(2, True, False, (4,), Rows(x))
    energy.W.data.zero_()
    p = (-energy(states(4))).softmax(0)
    torch.testing.assert_close(p @ states(4), x.mean(0))


def test_two_large_layers_have_no_closed_form() -> None:
    with pytest.raises(ValueError, match="both layers have more than 25 units: 30 and 26"):
        RBM(26, True, False, (30,), None).log_z(1.0)
