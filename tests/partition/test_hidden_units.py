"""log Z of an energy of visible units is estimated with its hidden units, by block Gibbs sweeps along the path."""

import pytest
import torch

from ebm_cli.chain.budget import Budget
from ebm_cli.energy.rbm import RBM
from ebm_cli.partition import log_z
from ebm_cli.partition.hidden_units import with_hidden_units
from ebm_cli.path._coordinates import Integrand
from tests.partition.paths import settings

pytestmark = pytest.mark.usefixtures("float64")


def machine_with_known_log_z(rng: torch.Generator) -> tuple[RBM, float]:
    """A machine of 30 and 26 units, of which only 6 hidden units have weights, and its log Z."""
    energy = RBM(26, True, False, (5, 6), None).requires_grad_(False)
    energy.b.data.copy_(torch.randn(26, generator=rng))
    energy.W.data.copy_(torch.randn(30, 26, generator=rng))
    energy.W.data[:, 6:] = 0
    small = RBM(6, True, False, (30,), None)
    for own, other in ((small.a, energy.a), (small.b, energy.b[:6]), (small.W, energy.W[:, :6])):
        own.data.copy_(other)
    free = energy.b[6:]
    rest = (torch.nn.functional.softplus(free) - energy.offset * free).sum()
    return energy, small.log_z(1.0) + float(rest)


def test_rows_have_hidden_units_drawn_given_them(rng: torch.Generator) -> None:
    energy, _ = machine_with_known_log_z(rng)
    rows = (torch.rand(20, 5, 6, generator=rng) < 0.5).double()
    joint = with_hidden_units(Integrand(energy, 1.0, (5, 6), rows, 0))
    assert joint.event == (56,) and joint.rows is not None
    assert torch.equal(joint.rows[:, :30], rows.flatten(1))
    p = energy.hidden_logits(rows).sigmoid()
    off = joint.rows[:, 30:] - p
    assert abs(float(off.sum())) < 4 * float((p * (1 - p)).sum().sqrt())


def test_a_machine_without_closed_form_has_a_bracket_that_holds_its_log_z(rng: torch.Generator) -> None:
    energy, exact = machine_with_known_log_z(rng)
    with pytest.raises(ValueError, match="more than 25 units"):
        energy.log_z(1.0)
    found = log_z(Integrand(energy, 1.0, (5, 6), None, 0), settings(steps=1000), Budget(400_000, 0.5))
    value = found.estimate
    assert "in 56 dimensions" in found.notes[0]
    assert value.verdict == "ok" and value.lower < exact < value.upper and value.upper - value.lower <= 0.5
    assert abs(value.value - exact) < 4 * value.se
