"""Replica exchange: every rung keeps its own law, swaps or none, and what the base sends up is new."""

import pytest
import torch
from torch import Tensor

from ebm_cli.energy import frozen
from ebm_cli.partition.ladder import Ladder
from ebm_cli.partition.path import Seen, Way
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.ways import Counted, led, way_to

D, N = 3, 400


def ladder(way: Way) -> Ladder:
    """Four rungs over a Gaussian."""
    like = way.space.middle
    return Ladder(way, like.new_tensor([1.0, 0.6, 0.2, 0.0]), like.new_tensor([0.4, 0.5, 0.6, 0.7]), 3)


def gaussian() -> Way:
    """U = ½ Σ aᵢ ζᵢ² in its own coordinates: those are the states'."""
    way = way_to(build("energy", "quadratic", {"a": [0.25, 1.0, 9.0]}, event=(D,)), 1.0, normal_rows(50, D))
    way.space.middle.zero_()
    way.space.root.copy_(torch.eye(D))
    return way


@pytest.mark.usefixtures("float64")
def test_every_rung_keeps_the_variance_of_its_own_law() -> None:
    """At β the precision is (1 − β) + βa, and E[z²] its inverse; n ladders are independent."""
    way, rng = gaussian(), generator(4, "ladder", "cpu")
    own = ladder(way)
    a = torch.tensor([0.25, 1.0, 9.0])
    exact = 1 / (1 - own.betas[:, None] * (1 - a))
    z = exact.sqrt()[:, None] * torch.randn(len(own.betas), N, D, generator=rng)
    with frozen(way.space), torch.no_grad():
        rungs = own.init(z[0])._replace(seen=way.look(z.flatten(0, 1)))
        squares = []
        for _ in range(30):
            rungs = own.step(rungs, rng)
            squares.append(rungs.seen.z.view(len(own.betas), N, D).square())
    each = torch.stack(squares).mean(0)
    error = each.std(1) / N**0.5
    assert ((each.mean(1) - exact).abs() < 4 * error).all()


@pytest.mark.usefixtures("float64")
def test_what_a_state_carries_goes_with_it() -> None:
    way, rng = gaussian(), generator(4, "ladder", "cpu")
    own = ladder(way)
    with frozen(way.space), torch.no_grad():
        rungs = own.init(torch.randn(8, D, generator=rng))
        for _ in range(3):
            rungs = own.step(rungs, rng)
        for carried, anew in zip(rungs.seen, way.look(rungs.seen.z), strict=True):
            torch.testing.assert_close(carried, anew)


def test_chains_in_one_of_two_modes_find_the_other_by_the_base() -> None:
    """They are eight spreads apart: between modes the model's own flights never cross."""
    energy = build("energy", "gaussian_mixture", {"means": [[-4.0, 0.0], [4.0, 0.0]], "weights": [0.5, 0.5]})
    way = way_to(energy, 1.0, energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    rng = generator(4, "ladder", "cpu")
    with frozen(way.space), torch.no_grad():
        pilot, _ = led(way)
        own = Ladder.of(way, pilot, len(pilot.betas), 3)
        rungs = own.init(way.space.coordinates(torch.tensor([[-4.0, 0.0]])).expand(100, 2))
        for _ in range(60):
            rungs = own.step(rungs, rng)
    right = (way.space.states(rungs.seen.z[:100])[:, 0] > 0).double()
    assert abs(float(right.mean()) - 0.5) < 4 * 0.5 / 10


def test_the_last_rung_is_drawn_anew_and_costs_one_look(rng: torch.Generator) -> None:
    counted = Counted(build("energy", "quadratic", event=(D,)))
    way = way_to(counted, 1.0, normal_rows(50, D))
    own = ladder(way)
    with frozen(way.space), torch.no_grad():
        rungs = own.init(torch.zeros(5, D))
        before = counted.states
        rungs = own.step(rungs, rng)
    assert counted.states - before == 5 * (3 * 3 + 1)
    # A draw stays at the last rung or swaps with the one above.
    assert ((rungs.seen.z.view(4, 5, D) == 0).all(2).sum(0) <= 3).all()


def test_pairs_take_turns(rng: torch.Generator) -> None:
    way = gaussian()
    own = ladder(way)
    with frozen(way.space), torch.no_grad():
        first = own.step(own.init(torch.zeros(4, D)), rng)
        second = own.step(first, rng)
    assert (first.swapped >= 0).tolist() == [True, False, True]
    assert (second.swapped >= 0).tolist() == [False, True, False]


def test_at_the_model_the_base_does_not_enter() -> None:
    z = torch.ones(2, 1)
    infinite = torch.tensor([torch.inf, 1.0])
    _, u, grad = Seen(z, torch.tensor([2.0, 2.0]), 3 * z, infinite, 5 * z).state(torch.tensor([1.0, 0.5]))
    expected: Tensor = torch.tensor([2.0, 1.5])
    assert torch.equal(u, expected) and grad.flatten().tolist() == [3.0, 4.0]
