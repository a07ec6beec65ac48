"""Tempering: it crosses where MALA cannot, its ladder evens out swaps, and swaps have their known rate."""

import pytest
import torch

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.tuning import Tuning
from ebm_cli.check import InputError
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")
MODERATE = {"replicas": 3}
WEIGHT = 0.3


def two_modes() -> GaussianMixture:
    """Ten widths apart, with weights 0.3 and 0.7."""
    return GaussianMixture([[-5.0, 0.0], [5.0, 0.0]], [1.0, 1.0], [WEIGHT, 1 - WEIGHT])


def occupancy(seed: int, chains: int = 48, steps: int = 500) -> tuple[float, float]:
    """Share of draws in the lighter mode and its error over chains, all begun in the heavier one."""
    rng = torch.Generator().manual_seed(seed)
    sampler = build("sampler", "tempering", {"replicas": 5, "hottest": 20.0})
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
    sampler = build("sampler", "tempering", {"replicas": 6, "hottest": 20.0})
    x, tuning = 5 * torch.randn(200, 2, generator=rng), Tuning("step")
    done = run_chains(sampler, two_modes(), x, 100, rng, burn_in=300, tuning=tuning, thin=5)
    geometric = run_chains(
        build("sampler", "tempering", {"replicas": 6, "hottest": 20.0, "step_size": 1.0}),
        two_modes(),
        5 * torch.randn(200, 2, generator=rng),
        300,
        rng,
        thin=5,
    )
    assert done.swap_rates is not None and geometric.swap_rates is not None
    spread = [float(rates.max() - rates.min()) for rates in (done.swap_rates, geometric.swap_rates)]
    assert spread[0] < 0.5 * spread[1]
    assert isinstance(done.sampler.temperatures, list) and done.sampler.temperatures[0] == 1


def test_swaps_of_gaussians_have_their_closed_form_rate(rng: torch.Generator) -> None:
    # E/T of two coordinates is exponential: with r = T₂/T₁ the mean of min(1, exp((β₁ − β₂)(E₁ − E₂))) is 2/(1 + r).
    r, n = 3.0, 40_000
    energy, sampler = Quadratic([1.0, 4.0], None), build("sampler", "tempering", {"temperatures": [1.0, r]})
    state = sampler.init(energy, energy.draw(n, 1.0, rng), rng)
    hot = energy.draw(n, r, rng)
    rungs = type(state.rungs)(
        *(
            torch.cat([part[:n], new])
            for part, new in zip(
                state.rungs, (hot, energy(hot).detach(), energy.energy_and_grad(hot)[1].detach()), strict=True
            )
        )
    )
    state, _ = sampler.step(energy, state._replace(rungs=rungs), rng)
    assert float(state.swapped[0]) == pytest.approx(2 / (1 + r), abs=4 * 0.5 / n**0.5)


@pytest.mark.parametrize("temperatures", [[2.0, 4.0], [1.0], [1.0, 3.0, 2.0]])
def test_a_ladder_that_does_not_rise_from_one_is_named(temperatures: list[float]) -> None:
    with pytest.raises(InputError, match=r"^temperatures must be a rising list that starts with 1"):
        build("sampler", "tempering", {"temperatures": temperatures})


def test_step_sizes_of_another_number_of_rungs_are_named() -> None:
    with pytest.raises(InputError, match=r"^step_size must be one number, or one for each of 8 temperatures, got 2"):
        build("sampler", "tempering", {"step_size": [0.1, 0.2]})
