"""Gibbs with gradients: its transition matrix, from its proposals and the Metropolis ratio, on all states."""

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.energy._capabilities import HiddenUnits, offers
from ebm_cli.sampler import State
from ebm_cli.sampler.gibbs_with_gradients import GibbsWithGradients
from tests.sampler.discrete import (
    MODELS,
    assert_counts_have,
    assert_stationary,
    probabilities,
    sites_and_states,
    state_numbers,
    step_counts,
)

pytestmark = pytest.mark.usefixtures("float64")
T = 0.8


def proposals(sampler: GibbsWithGradients, energy: nn.Module) -> Tensor:
    """q(y|x) of all pairs of states."""
    sites, x = sites_and_states(energy)
    log_q = sampler.log_proposals(energy, State(x, *energy_and_grad(energy, x)))
    q, numbers = torch.zeros(len(x), len(x)), sites.numbers(x)
    for change in range(log_q.shape[1]):
        site, value = divmod(change, sites.values)
        changed = numbers.clone()
        changed[:, site] = value
        targets = state_numbers(sites, sites.states(changed, x.dtype))
        q[torch.arange(len(x)), targets] += log_q[:, change].exp()
    return q


@pytest.mark.parametrize("model", list(MODELS))
def test_it_has_the_matrix_of_its_proposals_and_test(model: str, rng: torch.Generator) -> None:
    energy, sampler = MODELS[model]().requires_grad_(False), GibbsWithGradients(T, 1)
    if offers(energy, HiddenUnits):
        energy.set_temperature(T)
    p, q = probabilities(energy, T), proposals(sampler, energy)
    flow = p[:, None] * q
    matrix = q * (flow.T / flow.clamp(min=1e-300)).clamp(max=1)
    matrix = matrix + (1 - matrix.sum(1)).diag()
    assert_stationary(matrix, p)
    assert_counts_have(matrix, step_counts(sampler, energy, 4000, rng))


def test_proposals_are_those_of_exact_differences_where_the_energy_is_linear_in_each_site(rng: torch.Generator) -> None:
    """With exact differences it is the locally balanced proposal √(π(y)/π(x)) over all single changes."""
    energy, sampler = MODELS["ising with a field"]().requires_grad_(False), GibbsWithGradients(T, 1)
    p, q = probabilities(energy, T), proposals(sampler, energy)
    balanced = (q > 0) * (p / p[:, None]).sqrt()
    torch.testing.assert_close(q, balanced / balanced.sum(1, keepdim=True))
