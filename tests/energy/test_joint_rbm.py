"""The joint energy of both layers against its definition, and against the energy of the visible layer."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites
from ebm_cli.energy._capabilities import Conditionals, HiddenUnits, offers
from ebm_cli.energy.rbm import RBM
from tests.energy.parts import Rows
from tests.energy.test_rbm import joint, machine, states
from tests.sampler.discrete import sites_and_states

pytestmark = pytest.mark.usefixtures("float64")


def test_its_energies_are_the_definition_and_its_log_z_is_that_of_the_visible_units(rng: torch.Generator) -> None:
    energy = machine(5, 3, True, rng)
    both = energy.joint()
    x = sites_and_states(both)[1]
    # The last units of a state change fastest, and these are hidden.
    torch.testing.assert_close(both(x).view(32, 8), joint(energy))
    for temperature in (0.5, 1.0, 2.0):
        total = float((-both(x) / temperature).logsumexp(0))
        assert both.log_z(temperature) == pytest.approx(total, rel=1e-12)
        assert energy.log_z(temperature) == pytest.approx(total, rel=1e-12)


def test_its_gradient_and_the_fields_of_layers_and_of_single_units_are_differences_of_e(rng: torch.Generator) -> None:
    both = machine(5, 3, True, rng).joint()
    x = sites_and_states(both)[1]
    grad = both.energy_and_grad(x)[1]
    hidden, visible = both.independent_sites()
    assert hidden.tolist() == [5, 6, 7] and visible.tolist() == [0, 1, 2, 3, 4]
    for group in (hidden, visible):
        logits = both.site_logits(x, group)
        torch.testing.assert_close(both.site_logits(x, group.clone()), logits)
        for place, site in enumerate(group):
            off, on = x.clone(), x.clone()
            off[:, site], on[:, site] = 0, 1
            torch.testing.assert_close(both(off) - both(on), logits[:, place, 1] - logits[:, place, 0])
            torch.testing.assert_close(both(on) - both(off), grad[:, site])


def test_the_key_gives_the_joint_energy_of_the_same_weights(rng: torch.Generator) -> None:
    trained, both = machine(5, 3, True, rng), RBM(3, True, True, (8,), None)
    assert offers(both, Conditionals) and not offers(both, HiddenUnits)
    both.load_state_dict(trained.state_dict())
    x = sites_and_states(both)[1]
    torch.testing.assert_close(both(x), trained.joint()(x))


def test_rows_and_shapes_without_hidden_units_are_refused() -> None:
    with pytest.raises(InputError, match="rows have visible units only"):
        RBM(3, True, True, (8,), Rows(torch.ones(4, 8)))
    for event in ((3,), (2, 4)):
        with pytest.raises(InputError, match="more than hidden=3; got event="):
            RBM(3, True, True, event, None)


def test_drawn_hidden_units_have_the_conditional_probabilities_of_the_joint(rng: torch.Generator) -> None:
    energy, temperature, each = machine(4, 3, True, rng), 0.7, 20_000
    v = states(4).repeat_interleave(each, 0)
    h = energy.draw_hidden_units(v, temperature, rng).view(16, each, 3)
    numbers = Sites("binary", (3,)).numbers(h.flatten(0, 1)) @ torch.tensor([4, 2, 1])
    found = torch.stack([torch.bincount(row, minlength=8) for row in numbers.view(16, each)]) / each
    p = (-joint(energy) / temperature).softmax(1)
    assert ((found - p).abs() < 4.5 * (p * (1 - p) / each).sqrt() + 1e-4).all()
