"""The ladder of temperatures: densities βE/T, geometric until it is spaced, and steps that grow as √τ."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import build


def test_an_automatic_ladder_is_geometric_and_falls_from_one() -> None:
    betas = build("path", "hot", {"replicas": 4, "hottest": 8.0}).replica_betas()
    assert betas == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8])


def test_densities_are_the_model_at_higher_temperatures() -> None:
    energy, x = Quadratic([2.0], None), torch.tensor([[3.0]])
    path = build("path", "hot").annealing_path(energy, 1.5)
    u, grad = path.energy_at(0.25).energy_and_grad(x)
    assert u.tolist() == [0.25 * 9.0 / 1.5] and grad.tolist() == [[0.25 * 6.0 / 1.5]]


def test_steps_grow_as_the_width_of_a_well() -> None:
    path = build("path", "hot", {"temperatures": [1.0, 4.0, 9.0]})
    assert path.step_factors() == [1.0, 2.0, 3.0]


def test_equal_swap_rates_keep_the_ends() -> None:
    path = build("path", "hot", {"temperatures": [1.0, 2.0, 4.0, 8.0]}).with_equal_swap_rates([0.9, 0.2, 0.9])
    first, second, third, last = path.temperatures
    assert first == 1 and last == 8 and 2 < second < third < 4


def test_its_far_end_has_no_draws() -> None:
    path = build("path", "hot").annealing_path(Quadratic([2.0], None), 1.0)
    with pytest.raises(InputError, match=r"no exact draws\. Type path=base"):
        path.draw_base(3, torch.Generator())


@pytest.mark.parametrize("temperatures", [[2.0, 4.0], [1.0], [1.0, 3.0, 2.0]])
def test_a_ladder_that_does_not_rise_from_one_is_named(temperatures: list[float]) -> None:
    with pytest.raises(InputError, match=r"^temperatures must be a rising list that starts with 1"):
        build("path", "hot", {"temperatures": temperatures})
