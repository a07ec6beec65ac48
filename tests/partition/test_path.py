"""The way: what is known of a state, told from U_β alone, at no evaluation more than the kernel's own."""

import math

import pytest
import torch

from ebm_cli.partition.base import Box
from ebm_cli.partition.path import Seen, Way, moved
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import boxed
from ebm_cli.sampler import State
from ebm_cli.sampler.hmc import HMC
from tests.contract import build
from tests.partition.integrand import integrand, normal_rows
from tests.partition.ways import Counted, unbounded, way_to

KERNEL = HMC(0.3, leapfrog_steps=3, jitter=0.3, short=0.0, temperature=1.0, scales=None)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("beta", [0.01, 0.4, 1.0])
def test_the_energy_on_the_path_tells_the_models(beta: float, rng: torch.Generator) -> None:
    way = way_to(build("energy", "funnel", {"spread": 0.7}, event=(4,)))
    seen = way.begin(20, rng)
    again = way.seen(seen.state(beta), beta)
    for one, other in zip(seen, again, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(way.at(beta)(seen.z), seen.state(beta).energy)
    torch.testing.assert_close(way.at(beta).energy_and_grad(seen.z)[1], seen.state(beta).grad)


@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_a_transition_evaluates_the_model_as_often_as_its_kernel_alone(beta: float, rng: torch.Generator) -> None:
    counted = Counted(build("energy", "quadratic", event=(4,)))
    way = way_to(counted, 1.0, normal_rows(50, 4))
    seen = way.begin(10, rng)
    before, spent = counted.states, way.spending.spent
    moved(way, KERNEL, beta, seen, rng)
    assert counted.states - before == 3 * 10 == way.spending.spent - spent


def test_the_drive_is_in_double_precision_and_nothing_where_the_energy_is_no_number() -> None:
    z = torch.zeros(3, 2)
    u = torch.tensor([1.0, math.nan, math.inf])
    drive = Seen(z, u, z, torch.ones(3), z).drive
    assert drive.dtype == torch.float64 and drive.tolist() == [0.0, -math.inf, -math.inf]


def test_states_leave_a_box_at_the_model_alone(rng: torch.Generator) -> None:
    energy = build("energy", "quadratic", {"a": 0.1}, event=(2,))
    space = boxed(integrand(energy), [-1.0, 1.0])
    way = Way(space, Box(space.middle), unbounded())
    seen = way.begin(50, rng)
    for _ in range(40):
        seen = moved(way, KERNEL, 0.9, seen, rng)
    assert (seen.z.abs() < 1).all() and seen.drive.isfinite().all()
    for _ in range(40):
        seen = moved(way, KERNEL, 1.0, seen, rng)
    assert (seen.z.abs() > 1).any()


def test_at_the_model_the_base_does_not_enter() -> None:
    space = way_to(build("energy", "quadratic", event=(2,))).space
    way = Way(space, Box(space.middle), Spending(None, None))
    outside = torch.full((1, 2), 3.0)
    assert torch.equal(way.at(1.0)(outside), space(outside))
    assert not way.at(0.5)(outside).isfinite().any()
    assert torch.equal(way.seen(State(outside, space(outside), outside), 1.0).u, space(outside))
