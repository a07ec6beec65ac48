"""The replica ladder: every replica keeps its own distribution, and the base's replica is drawn exactly."""

import pytest
import torch
from ebm_cli.partition.ladder import ReplicaLadder

from ebm_cli.energy import frozen
from ebm_cli.partition.counted_path import CountedPath
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.paths import Counted, path_to, pilot_of

D, N = 3, 400


def ladder_of(path: CountedPath) -> ReplicaLadder:
    """Return four replicas over a Gaussian."""
    like = path.space.center
    return ReplicaLadder(path, like.new_tensor([1.0, 0.6, 0.2, 0.0]), like.new_tensor([0.4, 0.5, 0.6, 0.7]), 3)


def gaussian() -> CountedPath:
    """Return a path to U = ½ Σ aᵢ zᵢ², whose coordinates are the states themselves."""
    path = path_to(build("energy", "quadratic", {"a": [0.25, 1.0, 9.0]}, event=(D,)), 1.0, normal_rows(50, D))
    path.space.center.zero_()
    path.space.scale_matrix.copy_(torch.eye(D))
    return path


@pytest.mark.usefixtures("float64")
def test_step_keeps_the_variance_of_every_replica() -> None:
    """At β the precision is (1 − β) + βa, and E[z²] is its inverse; n ladders are independent."""
    path, rng = gaussian(), generator(4, "ladder", "cpu")
    ladder = ladder_of(path)
    a = torch.tensor([0.25, 1.0, 9.0])
    exact = 1 / (1 - ladder.betas[:, None] * (1 - a))
    z = exact.sqrt()[:, None] * torch.randn(len(ladder.betas), N, D, generator=rng)
    with frozen(path.space), torch.no_grad():
        replicas = ladder.init(z[0])._replace(states=path.evaluate(z.flatten(0, 1)))
        squares = []
        for _ in range(30):
            replicas = ladder.step(replicas, rng)
            squares.append(replicas.states.z.view(len(ladder.betas), N, D).square())
    each = torch.stack(squares).mean(0)
    error = each.std(1) / N**0.5
    assert ((each.mean(1) - exact).abs() < 4 * error).all()


@pytest.mark.usefixtures("float64")
def test_step_swaps_energies_and_gradients_with_their_states() -> None:
    path, rng = gaussian(), generator(4, "ladder", "cpu")
    ladder = ladder_of(path)
    with frozen(path.space), torch.no_grad():
        replicas = ladder.init(torch.randn(8, D, generator=rng))
        for _ in range(3):
            replicas = ladder.step(replicas, rng)
        for cached, computed in zip(replicas.states, path.evaluate(replicas.states.z), strict=True):
            torch.testing.assert_close(cached, computed)


def test_chains_in_one_of_two_modes_reach_the_other_through_the_base() -> None:
    """The modes are eight standard deviations apart: no trajectory of the model crosses."""
    energy = build("energy", "gaussian_mixture", {"means": [[-4.0, 0.0], [4.0, 0.0]], "weights": [0.5, 0.5]})
    path = path_to(energy, 1.0, energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    rng = generator(4, "ladder", "cpu")
    with frozen(path.space), torch.no_grad():
        pilot, _ = pilot_of(path)
        ladder = ReplicaLadder.from_pilot(path, pilot, len(pilot.betas), 3)
        replicas = ladder.init(path.space.coordinates(torch.tensor([[-4.0, 0.0]])).expand(100, 2))
        for _ in range(60):
            replicas = ladder.step(replicas, rng)
    right = (path.space.states(replicas.states.z[:100])[:, 0] > 0).double()
    assert abs(float(right.mean()) - 0.5) < 4 * 0.5 / 10


def test_last_replica_is_an_exact_draw_and_costs_one_evaluation(rng: torch.Generator) -> None:
    counted = Counted(build("energy", "quadratic", event=(D,)))
    path = path_to(counted, 1.0, normal_rows(50, D))
    ladder = ladder_of(path)
    with frozen(path.space), torch.no_grad():
        replicas = ladder.init(torch.zeros(5, D))
        before = counted.states
        replicas = ladder.step(replicas, rng)
    assert counted.states - before == 5 * (3 * 3 + 1)
    # A draw stays at the last replica or swaps with the one above.
    assert ((replicas.states.z.view(4, 5, D) == 0).all(2).sum(0) <= 3).all()
