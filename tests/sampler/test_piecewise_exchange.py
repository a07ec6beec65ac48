"""Replica exchange through anchors: every replica keeps its density, and log Z is the sum over segments."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.path_kernels import path_hmc
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate
from ebm_cli.partition.replica_log_z import replica_log_z
from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._base_distribution import StandardNormal
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy
from ebm_cli.path._piecewise_path import PiecewisePath
from ebm_cli.path._places import place_of
from ebm_cli.sampler import Sampler
from ebm_cli.sampler._replica_exchange import ReplicaExchange
from ebm_cli.sampler._replicas import Replicas, ReplicaStates
from ebm_cli.sampler.nuts import NUTS
from tests.partition.paths import Counted

pytestmark = pytest.mark.usefixtures("float64")

# Places of replicas: three segments, of which the middle one has no replica between its anchors.
BETAS = [1.0, 5 / 6, 2 / 3, 1 / 3, 0.2, 0.0]
FACTORS = [0.5, 0.7, 0.9, 1.0, 1.0]


class TwoModes(nn.Module):
    """−log of ¼N(−m, s²) + ¾N(m, s²), scaled by exp(−level): log Z = level."""

    def __init__(self, apart: float, std: float, level: float) -> None:
        super().__init__()
        self.apart, self.std, self.level, self.event = apart, std, level, (1,)

    def forward(self, x: Tensor) -> Tensor:
        distances = torch.stack([x[:, 0] + self.apart, x[:, 0] - self.apart]) / self.std
        weights = torch.tensor([0.25, 0.75]).log()[:, None]
        constant = self.level - math.log(self.std) - 0.5 * math.log(2 * math.pi)
        return -constant - (weights - 0.5 * distances.square()).logsumexp(0)


# Their means are compared with the exact ones.
FUNCTIONS = (lambda z: (z < 0).double(), lambda z: z, lambda z: z.square(), torch.cos)
MODELS = [TwoModes(1.0, 1.0, 0.5), TwoModes(2.0, 0.7, -1.0), TwoModes(3.0, 0.4, 2.0)]


def path_through(models: list[nn.Module]) -> PiecewisePath:
    """Return the path from N(0, 2²) through these models."""
    spaces = [
        WhitenedEnergy(Integrand(model, 1.0, (1,), None, 0), torch.zeros(1), 2 * torch.eye(1)) for model in models
    ]
    return PiecewisePath.through(StandardNormal(torch.zeros(1)), spaces)


def exchange_of(path: PiecewisePath | AnnealingPath, kernel: Sampler | None = None) -> ReplicaExchange:
    return ReplicaExchange(path, kernel or path_hmc(0.6, 3), 1.0, has_draws=True)


def energy_at(path: PiecewisePath, beta: float, z: Tensor) -> Tensor:
    """Return U at β of the whole path, computed apart from the exchange."""
    place = place_of(beta, len(path.segments))
    lower, upper = (path.anchor(place.segment + k).energy_and_grad(z)[0] for k in (0, 1))
    return (1 - place.beta) * lower + place.beta * upper


def record(exchange: ReplicaExchange, replicas: Replicas, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return z of all replicas and ΔU of all segments after each step."""
    rng = torch.Generator().manual_seed(seed)
    z, delta_u = [], []
    for _ in range(steps):
        replicas, _ = exchange.step(replicas, rng)
        z.append(replicas.states.z.view(len(BETAS), -1))
        delta_u.append(exchange.delta_u(replicas))
    return torch.stack(z), torch.stack(delta_u)


@pytest.mark.parametrize("kernel", [None, NUTS(0.6, max_depth=3, temperature=1.0, scales=None)])
def test_every_replica_keeps_its_density(kernel: Sampler | None) -> None:
    path, n, rng = path_through(MODELS), 2000, torch.Generator().manual_seed(0)
    grid = torch.linspace(-4, 4, 4001)[:, None]
    exact, start = [], []
    for beta in BETAS:
        p = (-energy_at(path, beta, grid)).softmax(0)
        start.append(grid[torch.multinomial(p, n, replacement=True, generator=rng)])
        exact.append([float((p * f(grid[:, 0])).sum()) for f in FUNCTIONS])
    exchange = exchange_of(path, kernel)
    with torch.no_grad():
        x = path.space.states(torch.cat(start)).view(len(BETAS), n, 1).transpose(0, 1)
        z, _ = record(exchange, exchange.resume(ReplicaStates(x, odd=True), BETAS, FACTORS), 12, 1)
    found = torch.stack([f(z).mean(0) for f in FUNCTIONS], -1)
    error = found.std(1) / n**0.5
    assert ((found.mean(1) - torch.tensor(exact)).abs() < 4 * error + 1e-9).all()


def test_states_have_the_energies_of_the_segment_of_their_last_swap(rng: torch.Generator) -> None:
    path = path_through(MODELS)
    exchange = exchange_of(path)
    with torch.no_grad():
        replicas = exchange.init(torch.randn(7, 1, generator=rng), BETAS, FACTORS)
        for _ in range(4):
            replicas, _ = exchange.step(replicas, rng)
            e, grad = replicas.states.energy_and_grad(replicas.last_betas.repeat_interleave(7))
            z = replicas.states.z
            for k, beta in enumerate(BETAS):
                rows = slice(7 * k, 7 * k + 7)
                torch.testing.assert_close(e[rows], energy_at(path, beta, z[rows]))
                step = 1e-6
                slope = (energy_at(path, beta, z[rows] + step) - energy_at(path, beta, z[rows] - step)) / (2 * step)
                torch.testing.assert_close(grad[rows, 0], slope, rtol=1e-5, atol=1e-5)


def test_chains_in_one_mode_find_both_and_log_z() -> None:
    path, n, steps = path_through(MODELS), 32, 400
    exchange = exchange_of(path)
    with frozen(MODELS[-1]), torch.no_grad():
        z, delta_u = record(exchange, exchange.init(torch.full((n, 1), 1.5), BETAS, FACTORS), steps, 2)
    left = (z[50:, 0] < 0).double().mean(0)
    assert abs(float(left.mean()) - 0.25) < 4 * float(left.std()) / n**0.5
    log_z = replica_log_z(np.array(BETAS), delta_u[50::4].numpy(), path.space.log_volume, Estimate(1.0))
    assert abs(log_z.value - 2.0) < 4 * log_z.se and log_z.se < 0.05
    assert log_z.lower < 2.0 < log_z.upper


def test_one_segment_gives_the_same_bits_as_a_linear_path() -> None:
    piecewise = path_through(MODELS[-1:])
    (linear,) = piecewise.segments
    betas = [1.0, 0.6, 0.3, 0.0]
    found = []
    for path in (piecewise, AnnealingPath(linear.space, linear.base)):
        exchange, rng = exchange_of(path), torch.Generator().manual_seed(3)
        with torch.no_grad():
            replicas = exchange.init(torch.ones(5, 1), betas, [1.0, 1.0, 1.0])
            for _ in range(6):
                replicas, info = exchange.step(replicas, rng)
        found.append((*replicas.states, *replicas.model, replicas.swapped, exchange.delta_u(replicas), info.accept))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_cost_is_the_number_of_evaluations_of_models() -> None:
    counted = [Counted(model) for model in MODELS]
    path, n = path_through(counted), 5
    exchange, rng = exchange_of(path), torch.Generator().manual_seed(0)
    with torch.no_grad():
        replicas = exchange.init(torch.zeros(n, 1), BETAS, FACTORS)
        for _ in range(2):
            before = sum(model.states for model in counted)
            replicas, info = exchange.step(replicas, rng)
            assert sum(model.states for model in counted) - before == n * info.gradients
