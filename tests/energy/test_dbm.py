"""DBM against the enumeration of all its units: its energy at any temperature, log Z, its draws and its limits."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.dbm import DBM
from tests.energy.parts import Rows
from tests.energy.test_rbm import states
from tests.sampler.discrete import dbm

pytestmark = pytest.mark.usefixtures("float64")


def definition(energy: DBM) -> torch.Tensor:
    """E(v, h, g) of all states, from the definition: visible, hidden and top units along the dimensions."""
    v, h, g = states(4) - energy.mu, states(2) - energy.offset, states(2) - energy.offset
    lower, upper = v @ energy.W @ h.T, h @ energy.U @ g.T
    biases = (v @ energy.a)[:, None, None] + (h @ energy.b)[None, :, None] + (g @ energy.c)[None, None]
    return -biases - lower[:, :, None] - upper[None]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_energy_and_log_z_are_the_sums_over_hidden_and_top_units(temperature: float) -> None:
    energy = dbm().requires_grad_(False)
    energy.set_temperature(temperature)
    u = -definition(energy) / temperature
    torch.testing.assert_close(energy(states(4)), -temperature * u.logsumexp((1, 2)), rtol=1e-12, atol=1e-12)
    assert energy.log_z(temperature) == pytest.approx(float(u.logsumexp((0, 1, 2))), rel=1e-12)
    assert energy.joint().log_z(temperature) == pytest.approx(float(u.logsumexp((0, 1, 2))), rel=1e-12)


def test_the_joint_energy_has_visible_then_top_then_hidden_units() -> None:
    energy = dbm().requires_grad_(False)
    e = energy.joint()(states(8)).view(16, 4, 4)
    torch.testing.assert_close(e, definition(energy).transpose(1, 2))


def test_at_temperature_zero_the_energy_is_the_lowest_of_all_hidden_states() -> None:
    energy = dbm().requires_grad_(False)
    energy.set_temperature(0.0)
    torch.testing.assert_close(energy(states(4)), definition(energy).amin((1, 2)))


def test_the_gradient_of_log_z_is_that_of_the_sum_over_states() -> None:
    energy = dbm()
    found = torch.autograd.grad(energy.log_partition(1.0), list(energy.parameters()))
    summed = torch.autograd.grad((-energy(states(4))).logsumexp(0), list(energy.parameters()))
    torch.testing.assert_close(found, summed)


def test_initial_units_have_the_rates_of_the_rows(rng: torch.Generator) -> None:
    x = (torch.rand(500, 4, generator=rng) < torch.tensor([0.9, 0.1, 0.5, 0.3])).double()
    energy = DBM(3, 2, True, (4,), Rows(x)).requires_grad_(False)
    energy.W.zero_()
    torch.testing.assert_close((-energy(states(4))).softmax(0) @ states(4), x.mean(0))


def test_more_top_units_than_can_be_summed_over_are_refused() -> None:
    with pytest.raises(InputError, match="top must be <= 12, got 13: every evaluation sums over all 2"):
        DBM(4, 13, True, (4,), None)
