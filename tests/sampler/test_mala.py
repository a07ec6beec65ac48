"""MALA is exact: its stationary variance has no bias and its steps are reversible."""

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler.mala import MALA
from tests.contract import moment_z_scores

pytestmark = pytest.mark.usefixtures("float64")
CHAINS = 40_000  # The variance's standard error is √(2/CHAINS) = 0.7 % of it.
A = 2.0


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("step_size", [0.1, 0.4, 0.8])
def test_stationary_variance_has_no_bias(step_size: float, temperature: float, rng: torch.Generator) -> None:
    sampler, energy = MALA(step_size, temperature), Quadratic([A], None)
    state = sampler.init(energy, energy.draw(CHAINS, temperature, rng), rng)
    for _ in range(20):
        state, _ = sampler.step(energy, state, rng)
    z_mean, z_variance = moment_z_scores(state.x, 0.0, temperature / A)
    assert z_mean < 4 and z_variance < 4


@pytest.mark.parametrize("step_size", [0.1, 0.5])
def test_steps_are_reversible(step_size: float, rng: torch.Generator) -> None:
    energy = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.5, 0.9], [0.3, 0.7])
    x = energy.draw(200_000, 1.0, rng)
    sampler = MALA(step_size, 1.0)
    y = sampler.step(energy, sampler.init(energy, x, rng), rng)[0].x

    def f(x: Tensor) -> Tensor:
        return (x[:, 0] > 0.3).double()

    def g(x: Tensor) -> Tensor:
        return x.square().sum(1)

    # E[f(x) g(y)] = E[g(x) f(y)] when x ~ π.
    difference = f(x) * g(y) - g(x) * f(y)
    assert difference.mean().abs() < 4 * difference.std() / len(x) ** 0.5


def test_accept_is_the_share_that_moves(rng: torch.Generator) -> None:
    sampler, energy = MALA(0.6, 1.0), Quadratic([A], None)
    x = energy.draw(CHAINS, 1.0, rng)
    state, info = sampler.step(energy, sampler.init(energy, x, rng), rng)
    taken = (state.x != x).squeeze(1).double()
    difference = taken - info.accept
    assert 0.3 < taken.mean() < 0.99
    assert difference.mean().abs() < 4 * difference.std() / CHAINS**0.5


def test_a_huge_step_is_refused_and_a_tiny_one_taken(rng: torch.Generator) -> None:
    energy = Quadratic([A], None)
    x = energy.draw(1000, 1.0, rng)
    for step_size, accept in ((100.0, 0.0), (1e-6, 1.0)):
        sampler = MALA(step_size, 1.0)
        state, info = sampler.step(energy, sampler.init(energy, x, rng), rng)
        torch.testing.assert_close(info.accept, torch.full((1000,), accept), atol=1e-3, rtol=0)
        assert (state.x != x).double().mean() == pytest.approx(accept, abs=0.01)


class Cliff(nn.Module):
    """½‖x‖² where x₁ < 1, beyond it `beyond`."""

    def __init__(self, beyond: float) -> None:
        super().__init__()
        self.beyond = beyond

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, 0] < 1, 0.5 * x.square().sum(1), self.beyond)


@pytest.mark.parametrize("beyond", [float("nan"), float("inf")])
def test_a_place_without_energy_is_never_entered(beyond: float, rng: torch.Generator) -> None:
    energy, sampler = Cliff(beyond), MALA(0.3, 1.0)
    state = sampler.init(energy, torch.zeros(500, 2), rng)
    for _ in range(30):
        state, info = sampler.step(energy, state, rng)
        assert info.accept.isfinite().all()
    assert (state.x[:, 0] < 1).all() and state.energy.isfinite().all() and state.grad.isfinite().all()
