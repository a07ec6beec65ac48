"""Descent of discrete states: it ends in fixed points, which are enumerated here, and overlaps are those of spins."""

import pytest
import torch

from ebm_cli.data._sites import Sites
from ebm_cli.wells.site_descent import descend_sites, overlaps
from tests.sampler.discrete import MODELS, lowest_of_neighbors, sites_and_states

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("model", list(MODELS))
def test_descent_ends_in_fixed_points_and_leaves_each_in_place(model: str, rng: torch.Generator) -> None:
    energy = MODELS[model]().requires_grad_(False)
    x = sites_and_states(energy)[1]
    e, is_fixed = energy(x), energy(x) <= lowest_of_neighbors(energy) + 1e-12
    end = descend_sites(energy, x, rng)
    assert (energy(end) <= e + 1e-12).all()
    assert torch.equal(end[is_fixed], x[is_fixed])
    assert torch.equal(torch.unique(end, dim=0), torch.unique(x[is_fixed], dim=0))


def test_the_fixed_point_of_a_state_does_not_depend_on_the_other_states() -> None:
    energy = MODELS["potts"]().requires_grad_(False)
    x = sites_and_states(energy)[1]
    together, reverse, one = (
        descend_sites(energy, states, torch.Generator().manual_seed(3)) for states in (x, x.flip(0), x[40:41])
    )
    assert torch.equal(together, reverse.flip(0)) and torch.equal(together[40:41], one)


def test_overlaps_are_products_of_spins_and_one_for_equal_categories(rng: torch.Generator) -> None:
    sites = Sites("spin", (3, 4))
    x, y = (sites.uniform(n, rng, torch.float64) for n in (5, 6))
    torch.testing.assert_close(overlaps(sites, x, y), x.flatten(1) @ y.flatten(1).T / 12)
    sites = Sites("categorical", (7, 3))
    x = sites.uniform(20_000, rng, torch.float64)
    found = overlaps(sites, x, x[:1])[:, 0]
    assert found[0] == 1 and abs(found[1:].mean()) < 4 * found[1:].std() / 20_000**0.5
