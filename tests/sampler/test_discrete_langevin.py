"""Discrete Langevin: its transition matrix, from its proposals and the Metropolis ratio, on all states."""

import pytest
import torch

from ebm_cli.energy import energy_and_grad
from ebm_cli.energy._capabilities import HiddenUnits, offers
from ebm_cli.sampler import State
from ebm_cli.sampler.discrete_langevin import DiscreteLangevin
from tests.sampler.discrete import (
    MODELS,
    assert_counts_have,
    assert_stationary,
    probabilities,
    sites_and_states,
    step_counts,
)

pytestmark = pytest.mark.usefixtures("float64")
T = 0.8


@pytest.mark.parametrize("step_size", [0.3, 2.0])
@pytest.mark.parametrize("model", list(MODELS))
def test_it_has_the_matrix_of_its_proposals_and_test(model: str, step_size: float, rng: torch.Generator) -> None:
    energy, sampler = MODELS[model]().requires_grad_(False), DiscreteLangevin(step_size, T)
    if offers(energy, HiddenUnits):
        energy.set_temperature(T)
    sites, x = sites_and_states(energy)
    p = probabilities(energy, T)
    log_q = sampler.log_proposals(energy, State(x, *energy_and_grad(energy, x)))
    numbers = sites.numbers(x)
    q = torch.stack([log_q[:, torch.arange(sites.count), y].sum(1).exp() for y in numbers], 1)
    flow = p[:, None] * q
    matrix = q * (flow.T / flow).clamp(max=1)
    matrix = matrix + (1 - matrix.sum(1)).diag()
    assert_stationary(matrix, p)
    assert_counts_have(matrix, step_counts(sampler, energy, 4000, rng))
