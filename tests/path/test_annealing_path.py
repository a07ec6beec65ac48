"""The path: U of a state follows from U_β, without an evaluation beyond the kernel's own."""

import math

import pytest
import torch
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.transition import transition
from ebm_cli.path._annealing_path import PathStates
from ebm_cli.path._base_distribution import UniformBox
from ebm_cli.path._coordinates import whiten_box
from ebm_cli.sampler.hmc import HMC
from tests.contract import build
from tests.partition.integrand import integrand, normal_rows
from tests.partition.paths import Counted, path_to

KERNEL = HMC(0.3, leapfrog_steps=3, step_size_jitter=0.3, short=0.0, log_step_std=0.0, temperature=1.0, scales=None)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("beta", [0.01, 0.4, 1.0])
def test_from_tempered_recovers_both_energies(beta: float, rng: torch.Generator) -> None:
    path = path_to(build("energy", "funnel", {"spread": 0.7}, event=(4,)))
    states = path.draw_base(20, rng)
    e, grad = states.energy_and_grad(beta)
    for one, other in zip(states, path.from_tempered(states.z, e, grad, beta), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(path.energy_at(beta)(states.z), e)
    torch.testing.assert_close(path.energy_at(beta).energy_and_grad(states.z)[1], grad)


@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_transition_evaluates_the_model_only_for_its_kernel(beta: float, rng: torch.Generator) -> None:
    counted = Counted(build("energy", "quadratic", event=(4,)))
    path = path_to(counted, 1.0, normal_rows(50, 4))
    states = path.draw_base(10, rng)
    before, used = counted.states, path.budget.used
    transition(path, KERNEL, beta, states, rng)
    assert counted.states - before == 3 * 10 == path.budget.used - used


def test_delta_u_is_double_precision_and_minus_infinity_without_energy() -> None:
    z = torch.zeros(3, 2)
    u = torch.tensor([1.0, math.nan, math.inf])
    delta_u = PathStates(z, u, z, torch.ones(3), z).delta_u
    assert delta_u.dtype == torch.float64 and delta_u.tolist() == [0.0, -math.inf, -math.inf]


def test_states_leave_a_box_only_at_beta_one(rng: torch.Generator) -> None:
    energy = build("energy", "quadratic", {"a": 0.1}, event=(2,))
    space = whiten_box(integrand(energy), [-1.0, 1.0])
    path = CountedPath(space, UniformBox(space.center), Budget())
    states = path.draw_base(50, rng)
    for _ in range(40):
        states, _ = transition(path, KERNEL, 0.9, states, rng)
    assert (states.z.abs() < 1).all() and states.delta_u.isfinite().all()
    for _ in range(40):
        states, _ = transition(path, KERNEL, 1.0, states, rng)
    assert (states.z.abs() > 1).any()


def test_base_does_not_enter_at_beta_one() -> None:
    space = path_to(build("energy", "quadratic", event=(2,))).space
    path = CountedPath(space, UniformBox(space.center), Budget())
    outside = torch.full((1, 2), 3.0)
    assert torch.equal(path.energy_at(1.0)(outside), space(outside))
    assert not path.energy_at(0.5)(outside).isfinite().any()
    assert torch.equal(path.from_tempered(outside, space(outside), outside, 1.0).u, space(outside))


def test_base_does_not_enter_in_rows_at_beta_one() -> None:
    z = torch.ones(2, 1)
    infinite = torch.tensor([torch.inf, 1.0])
    states = PathStates(z, torch.tensor([2.0, 2.0]), 3 * z, infinite, 5 * z)
    u, grad = states.energy_and_grad(torch.tensor([1.0, 0.5]))
    expected: Tensor = torch.tensor([2.0, 1.5])
    assert torch.equal(u, expected) and grad.flatten().tolist() == [3.0, 4.0]
