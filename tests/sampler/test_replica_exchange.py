"""Replica exchange along a path with exact draws: each replica keeps its density, and the last is drawn exactly."""

import pytest
import torch

from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.energy import frozen
from ebm_cli.rng import generator
from ebm_cli.sampler._replica_exchange import ReplicaExchange
from ebm_cli.sampler.hmc import HMC
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.paths import Counted, path_to, pilot_of

D, N = 3, 400


BETAS, FACTORS = [1.0, 0.6, 0.2, 0.0], [1.0, 1.25, 1.5]


def exchange_of(path: CountedPath) -> ReplicaExchange:
    """Return replica exchange by HMC."""
    kernel = HMC(0.4, leapfrog_steps=3, step_size_jitter=0.3, short=0.0, log_step_std=0.0, temperature=1.0, scales=None)
    return ReplicaExchange(path, kernel, 1.0, has_draws=True)


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
    exchange, betas = exchange_of(path), torch.tensor(BETAS)
    a = torch.tensor([0.25, 1.0, 9.0])
    exact = 1 / (1 - betas[:, None] * (1 - a))
    z = exact.sqrt()[:, None] * torch.randn(len(betas), N, D, generator=rng)
    with frozen(path.space), torch.no_grad():
        replicas = exchange.init(z[0], BETAS, FACTORS)._replace(states=path.evaluate(z.flatten(0, 1)))
        squares = []
        for _ in range(30):
            replicas, _ = exchange.step(replicas, rng)
            squares.append(replicas.states.z.view(len(betas), N, D).square())
    each = torch.stack(squares).mean(0)
    error = each.std(1) / N**0.5
    assert ((each.mean(1) - exact).abs() < 4 * error).all()


@pytest.mark.usefixtures("float64")
def test_step_swaps_energies_and_gradients_with_their_states() -> None:
    path, rng = gaussian(), generator(4, "ladder", "cpu")
    exchange = exchange_of(path)
    with frozen(path.space), torch.no_grad():
        replicas = exchange.init(torch.randn(8, D, generator=rng), BETAS, FACTORS)
        for _ in range(3):
            replicas, _ = exchange.step(replicas, rng)
        for cached, computed in zip(replicas.states, path.evaluate(replicas.states.z), strict=True):
            torch.testing.assert_close(cached, computed)


def test_chains_in_one_of_two_modes_reach_the_other_through_the_base() -> None:
    """The modes are eight standard deviations apart: no trajectory of the model crosses."""
    energy = build("energy", "gaussian_mixture", {"means": [[-4.0, 0.0], [4.0, 0.0]], "weights": [0.5, 0.5]})
    path = path_to(energy, 1.0, energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    rng = generator(4, "ladder", "cpu")
    with frozen(path.space), torch.no_grad():
        pilot, _ = pilot_of(path)
        ladder = pilot.ladder_through([0, 1], 1)
        exchange = ReplicaExchange(path, ladder.kernel, 1.0, has_draws=True)
        start = path.space.coordinates(torch.tensor([[-4.0, 0.0]])).expand(100, 2)
        replicas = exchange.init(start, ladder.betas, ladder.step_factors)
        for _ in range(60):
            replicas, _ = exchange.step(replicas, rng)
    right = (path.space.states(replicas.states.z[:100])[:, 0] > 0).double()
    assert abs(float(right.mean()) - 0.5) < 4 * 0.5 / 10


def test_last_replica_is_an_exact_draw_and_costs_one_evaluation(rng: torch.Generator) -> None:
    counted = Counted(build("energy", "quadratic", event=(D,)))
    path = path_to(counted, 1.0, normal_rows(50, D))
    exchange = exchange_of(path)
    with frozen(path.space), torch.no_grad():
        replicas = exchange.init(torch.zeros(5, D), BETAS, FACTORS)
        before = counted.states
        replicas, _ = exchange.step(replicas, rng)
    assert counted.states - before == 5 * (3 * 3 + 1)
    # A draw stays at the last replica or swaps with the one above.
    assert ((replicas.states.z.view(4, 5, D) == 0).all(2).sum(0) <= 3).all()
