"""Asynchronous updates: at T = 0 they end in a minimum, and above they have Glauber's matrix."""

import pytest
import torch

from ebm_cli.sampler.asynchronous import Asynchronous
from tests.sampler.discrete import MODELS, sites_and_states

pytestmark = pytest.mark.usefixtures("float64")
MODEL = pytest.mark.parametrize("model", list(MODELS))


@MODEL
def test_at_temperature_zero_every_chain_ends_in_a_state_that_no_single_change_lowers(
    model: str, rng: torch.Generator
) -> None:
    energy = MODELS[model]().requires_grad_(False)
    sampler, (sites, x) = Asynchronous(0.0), sites_and_states(energy)
    state = sampler.init(energy, x, rng)
    for _ in range(12):
        before = state.energy
        state, _ = sampler.step(energy, state, rng)
        assert (state.energy <= before + 1e-12).all()
    numbers = sites.numbers(state.x)
    for site in range(sites.count):
        for value in range(sites.values):
            changed = numbers.clone()
            changed[:, site] = value
            assert (energy(sites.states(changed, x.dtype)) >= state.energy - 1e-12).all()
