"""Replica exchange: it crosses where MALA cannot, swaps have their known rate, and every kernel keeps every density."""

from typing import Any

import pytest
import torch

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.tuning import Tuning
from ebm_cli.check import InputError
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.path._swap import Swap
from ebm_cli.sampler._replicas import FAR_END, MODEL, visited_ends
from ebm_cli.sampler.tempering import Tempering
from tests.contract import build, config

pytestmark = pytest.mark.usefixtures("float64")
MODERATE = {"replicas": 3}
WEIGHT = 0.3


def tempering(path: dict[str, Any], **changes: Any) -> Tempering:
    """Return replica exchange between temperatures."""
    return build("sampler", "tempering", changes, path=build("path", "hot", path))


def two_modes() -> GaussianMixture:
    """Ten widths apart, with weights 0.3 and 0.7."""
    return GaussianMixture([[-5.0, 0.0], [5.0, 0.0]], [1.0, 1.0], [WEIGHT, 1 - WEIGHT])


def occupancy(seed: int, chains: int = 48, steps: int = 500) -> tuple[float, float]:
    """Share of draws in the lighter mode and its error over chains, all begun in the heavier one."""
    rng = torch.Generator().manual_seed(seed)
    sampler = tempering({"replicas": 5, "hottest": 20.0})
    x = torch.tensor([5.0, 0.0]) + torch.randn(chains, 2, generator=rng)
    done = run_chains(sampler, two_modes(), x, steps, rng, burn_in=200, tuning=Tuning("step"), thin=5)
    share = (done.x[..., 0] < 0).double().mean(0)
    return float(share.mean()), float(share.std() / chains**0.5)


@pytest.mark.parametrize("seed", range(2))
def test_it_weighs_two_modes_ten_widths_apart(seed: int) -> None:
    value, error = occupancy(seed)
    assert error < 0.03 and abs(value - WEIGHT) < 4 * error


@pytest.mark.slow
def test_it_weighs_them_in_twenty_seeds_of_twenty() -> None:
    found = [occupancy(seed) for seed in range(100, 120)]
    assert [abs(value - WEIGHT) < 4 * error for value, error in found] == [True] * 20


def test_a_ladder_set_in_burn_in_swaps_evenly(rng: torch.Generator) -> None:
    sampler = tempering({"replicas": 6, "hottest": 20.0})
    x, tuning = 5 * torch.randn(200, 2, generator=rng), Tuning("step")
    done = run_chains(sampler, two_modes(), x, 100, rng, burn_in=300, tuning=tuning, thin=5)
    geometric = run_chains(
        tempering({"replicas": 6, "hottest": 20.0}, step_factors=[4.0] * 6),
        two_modes(),
        5 * torch.randn(200, 2, generator=rng),
        300,
        rng,
        thin=5,
    )
    assert done.replicas is not None and geometric.replicas is not None
    rates = [each.replicas.swap_rates().mean(1) for each in (done, geometric)]
    spread = [float(each.max() - each.min()) for each in rates]
    assert spread[0] < 0.5 * spread[1]
    assert isinstance(done.sampler, Tempering) and done.sampler.path.replica_betas()[0] == 1
    assert done.sampler.path.replica_betas() != tempering({"replicas": 6, "hottest": 20.0}).path.replica_betas()


def test_swaps_of_gaussians_have_their_closed_form_rate(rng: torch.Generator) -> None:
    # E/T of two coordinates is exponential: with r = T₂/T₁ the mean of min(1, exp((β₁ − β₂)(E₁ − E₂))) is 2/(1 + r).
    r, n = 3.0, 40_000
    energy, sampler = Quadratic([1.0, 4.0], None), tempering({"temperatures": [1.0, r]})
    state = sampler.init(energy, energy.draw(n, 1.0, rng), rng)
    x = torch.cat([state.x, energy.draw(n, r, rng)])
    states = sampler.exchange(energy).path.evaluate(x)
    state, _ = sampler.step(energy, state._replace(states=states), rng)
    assert float(state.swapped.mean()) == pytest.approx(2 / (1 + r), abs=4 * 0.5 / n**0.5)


def test_step_factors_of_another_number_of_replicas_are_named() -> None:
    with pytest.raises(InputError, match=r"^step_factors must have 8 numbers, one per replica, got 2"):
        tempering({}, step_factors=[0.1, 0.2])


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("sghmc", r"kernel must be a sampler with a Metropolis test"),
        ("hmc", r"kernel.temperature must be 1.0, got 2.0: set sampler.temperature"),
    ],
)
def test_a_kernel_that_cannot_move_replicas_is_named(kernel: str, message: str) -> None:
    node = config("sampler", kernel) | {"temperature": 2.0}
    with pytest.raises(InputError, match=f"^{message}"):
        tempering({}, kernel=node)


@pytest.mark.parametrize("name", ["mala", "hmc", "nuts"])
def test_each_kernel_keeps_every_temperature_of_a_gaussian(name: str, rng: torch.Generator) -> None:
    energy, n = Quadratic([1.0, 4.0], None), 4000
    sampler = tempering({"temperatures": [1.0, 3.0]}, kernel=config("sampler", name))
    exchange = sampler.exchange(energy)
    state = sampler.init(energy, energy.draw(n, 1.0, rng), rng)
    hot = energy.draw(n, 3.0, rng)
    state = state._replace(states=exchange.path.evaluate(torch.cat([state.x, hot])))
    for _ in range(6):
        state, _ = sampler.step(energy, state, rng)
    for temperature, x in zip((1.0, 3.0), state.states.z.split(n), strict=True):
        squares = x.square() * torch.tensor([1.0, 4.0]) / temperature
        assert ((squares.mean(0) - 1).abs() < 4 * (2 / n) ** 0.5).all()


def test_a_state_that_comes_from_the_far_end_is_one_round_trip() -> None:
    # Two chains of two replicas: the first swaps and so gets a state that was at the far end.
    accepted = torch.tensor([[True, False], [True, False]])
    swap = Swap(accepted.double(), accepted, torch.tensor([1, 0]))
    last_end, arrived = visited_ends(swap, torch.tensor([MODEL, MODEL, FAR_END, FAR_END]), 2)
    assert arrived.tolist() == [True, False]
    assert last_end.tolist() == [MODEL, MODEL, FAR_END, FAR_END]


@pytest.mark.slow
def test_steps_of_many_lengths_get_through_the_funnel() -> None:
    kernel = config("sampler", "hmc") | {"leapfrog_steps": 4, "step_size": 0.3, "log_step_std": 1.5}
    sampler, energy = tempering({"replicas": 16}, kernel=kernel), build("energy", "funnel", event=(10,))
    rng, n = torch.Generator().manual_seed(0), 64
    x, tuning = 2 * torch.rand(n, 10, generator=rng) - 1, Tuning("step", 0.6)
    done = run_chains(sampler, energy, x, 8000, rng, burn_in=2000, tuning=tuning, thin=20)
    # x₁ ~ N(0, 3²), so that P(x₁ < −5) = Φ(−5/3).
    for each, exact in ((done.x[..., 0].square(), 9.0), ((done.x[..., 0] < -5).double(), 0.0478)):
        mean = each.mean(0)
        assert abs(float(mean.mean()) - exact) < 4 * float(mean.std()) / n**0.5
