"""Gibbs sweeps along a path: the transition matrix in both directions, between the base and the model."""

from functools import reduce

import pytest
import torch

from ebm_cli.path._site_coordinates import rates_path
from ebm_cli.sampler._path_gibbs import PathGibbs, has_few_groups, reversal
from tests.sampler.discrete import (
    MODELS,
    assert_counts_have,
    assert_stationary,
    probabilities,
    single_site_matrix,
    sites_and_states,
    step_counts,
)

pytestmark = pytest.mark.usefixtures("float64")
FEW = ["ising", "potts", "potts with a field", "joint rbm"]


def test_models_with_few_groups_are_found() -> None:
    assert [name for name, model in MODELS.items() if has_few_groups(model())] == FEW


@pytest.mark.parametrize("model", FEW)
@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_a_step_has_the_matrix_of_its_single_draws_and_backwards_that_of_its_reversal(
    model: str, beta: float, rng: torch.Generator
) -> None:
    energy = MODELS[model]().requires_grad_(False)
    sites, x = sites_and_states(energy)
    tempered = rates_path(energy, 1.3, tuple(energy.event), x[:20]).energy_at(beta)
    tempered.event = energy.event
    p = probabilities(tempered, 1.0)
    order = torch.cat(energy.independent_sites())
    assert len(order) == sites.count
    matrix = reduce(torch.matmul, [single_site_matrix(tempered, site, 1.0) for site in order])
    assert_stationary(matrix, p)
    kernel = PathGibbs(backwards=False)
    assert_counts_have(matrix, step_counts(kernel, tempered, 2000, rng))
    # p(x)·K(x, y) = p(y)·K'(y, x).
    assert_counts_have((p[:, None] * matrix).T / p[:, None], step_counts(reversal(kernel), tempered, 2000, rng))
