"""MALA that jumps is exact, reversible, and crosses to a mode that MALA never reaches."""

import pytest
import torch

from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.jump_mala import JumpMALA
from tests.contract import build, moment_z_scores

pytestmark = pytest.mark.usefixtures("float64")
CHAINS = 40_000
A = 2.0


@pytest.mark.parametrize(("jump", "temperature"), [(0.2, 2.0), (1.0, 0.5)])
def test_stationary_variance_is_unbiased(jump: float, temperature: float, rng: torch.Generator) -> None:
    sampler, energy = JumpMALA(0.4, jump, 1.5, temperature), Quadratic([A], None)
    state = sampler.init(energy, energy.draw(CHAINS, temperature, rng), rng)
    for _ in range(20):
        state, _ = sampler.step(energy, state, rng)
    z_mean, z_variance = moment_z_scores(state.x, 0.0, temperature / A)
    assert z_mean < 4 and z_variance < 4


def test_pure_jumps_are_reversible(rng: torch.Generator) -> None:
    jump = 1.0
    energy = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.5, 0.9], [0.3, 0.7])
    x = energy.draw(200_000, 1.0, rng)
    sampler = JumpMALA(0.3, jump, 1.2, 1.0)
    y = sampler.step(energy, sampler.init(energy, x, rng), rng)[0].x
    f, g = [(z[:, 0] > 0.3).double() for z in (x, y)], [z.square().sum(1) for z in (x, y)]
    # E[f(x) g(y)] = E[g(x) f(y)] when x ~ π.
    difference = f[0] * g[1] - g[0] * f[1]
    assert difference.mean().abs() < 4 * difference.std() / len(x) ** 0.5


def occupancy(sampler: Sampler, rng: torch.Generator) -> float:
    """Share of chains in the heavier of two far modes, all begun in the lighter one."""
    energy, n = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], [0.2, 0.2], [0.3, 0.7]), 4000
    state = sampler.init(energy, torch.tensor([-2.0, 0.0]).expand(n, 2), rng)
    for _ in range(400):
        state, _ = sampler.step(energy, state, rng)
    return float((state.x[:, 0] > 0).double().mean())


def test_modes_that_lie_apart_get_their_weights_where_mala_leaves_them(rng: torch.Generator) -> None:
    assert occupancy(build("sampler", "mala", {"step_size": 0.02}), rng) == 0
    error = (0.3 * 0.7 / 4000) ** 0.5
    assert abs(occupancy(JumpMALA(0.02, 0.5, 2.0, 1.0), rng) - 0.7) < 4 * error


def test_without_jumps_its_law_is_malas() -> None:
    energy, x = Quadratic([A], None), torch.randn(CHAINS, 1)
    ends = []
    for sampler in (build("sampler", "mala", {"step_size": 0.4}), JumpMALA(0.4, 0.0, 2.0, 1.0)):
        rng = torch.Generator().manual_seed(1)
        ends.append(sampler.step(energy, sampler.init(energy, x, rng), rng)[1].accept)
    difference, spread = ends[0].mean() - ends[1].mean(), (ends[0].var() + ends[1].var()) / CHAINS
    assert abs(float(difference)) < 4 * float(spread) ** 0.5
