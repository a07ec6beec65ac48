"""Spurious attractors: the fixed points of small networks are enumerated, and all but the patterns are spurious."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.chain.chains import Chains
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._fixed_points import find_fixed_points
from ebm_cli.energy.ising import Ising
from ebm_cli.estimate import Result
from tests.contract import build
from tests.diagnostic.test_fixed_points import CHAINS, exact_draws
from tests.energy.parts import Rows
from tests.sampler.discrete import MODELS, lowest_of_neighbors, probabilities, sites_and_states

pytestmark = pytest.mark.usefixtures("float64")
# Ten thousand descents from at most 1,024 states: each is drawn.
STARTS = {"starts": 1_000_000}


def found(energy: torch.nn.Module, rows: Tensor, x: np.ndarray | None = None, temperature: float = 1.0) -> Result:
    chains = Chains(x=np.zeros((1, 1, *rows.shape[1:])) if x is None else x)
    context = ChainContext(chains, energy.requires_grad_(False), temperature, data=Rows(rows))
    return build("diagnostic", "spurious_valleys", STARTS)(context)


def fixed_points(energy: torch.nn.Module) -> Tensor:
    x = sites_and_states(energy)[1]
    return x[energy(x) <= lowest_of_neighbors(energy) + 1e-12]


@pytest.mark.parametrize("values", ["spin", "binary"])
@pytest.mark.parametrize("seed", range(3))
def test_fixed_points_are_spurious_unless_they_are_patterns_or_their_opposites(values: str, seed: int) -> None:
    patterns = Sites(values, (10,)).uniform(3, torch.Generator().manual_seed(seed), torch.float64)
    energy = build("energy", "hopfield", {"values": values}, data=Rows(patterns), event=None).requires_grad_(False)
    x, fixed = sites_and_states(energy)[1], fixed_points(energy)
    stored = torch.cat([patterns, -patterns if values == "spin" else 1 - patterns])
    spurious = fixed[~(fixed[:, None] == stored).all(2).any(1)]
    rows = found(energy, patterns, temperature=0.0)
    assert rows.estimates["spurious_valleys"].value == len(spurious)
    assert "spurious_mass" not in rows.estimates
    basins = find_fixed_points(energy, x, "spurious_valleys")
    ends = basins.x[basins.number.tolist()]
    exact = (ends[:, None] == spurious).all(2).any(1).double().mean().item() if len(spurious) else 0.0
    fraction = rows.estimates["spurious_starts"]
    assert abs(fraction.value - exact) <= 4 * fraction.se
    rows.draw()


@pytest.mark.parametrize(("field", "count"), [(0.0, 0), (0.3, 1)])
def test_opposites_of_rows_count_as_rows_only_if_the_energy_is_symmetric(field: float, count: int) -> None:
    energy = Ising(0.7, field, "complete", "spin", False, (6,))
    assert found(energy, torch.ones(1, 6)).estimates["spurious_valleys"].value == count


@pytest.mark.parametrize("model", ["potts", "rbm", "cubic"])
def test_the_mass_is_that_of_the_states_that_lead_to_fixed_points_without_data(model: str) -> None:
    energy = MODELS[model]().requires_grad_(False)
    x, p = sites_and_states(energy)[1], probabilities(energy, 0.8)
    fixed = fixed_points(energy)
    rows = found(energy, fixed[:1], exact_draws(p, x), 0.8)
    assert rows.estimates["spurious_valleys"].value == len(fixed) - 1
    basins = find_fixed_points(energy, x, "spurious_valleys")
    is_spurious = (basins.x != fixed[0]).flatten(1).any(1)
    exact, mass = float(p[is_spurious[basins.number.tolist()]].sum()), rows.estimates["spurious_mass"]
    assert mass.value == pytest.approx(exact, abs=4 * mass.se + 1e-12)
    assert mass.if_not_mixed == "refused" and len(rows.arrays.mass) == CHAINS


def test_states_as_near_to_training_rows_as_held_out_rows_are_not_spurious() -> None:
    """The opposite of the row is spurious, unless held-out rows differ from it in as many sites."""

    class Split(Rows):
        def split(self, split: str) -> object:
            batch = super().split("train")
            return batch if split == "train" else batch._replace(x=-batch.x)

    energy = Ising(0.7, 0.3, "complete", "spin", False, (6,)).requires_grad_(False)
    context = ChainContext(Chains(x=np.zeros((1, 1, 6))), energy, 1.0, data=Split(torch.ones(1, 6)))
    rows = build("diagnostic", "spurious_valleys", STARTS)(context).estimates
    assert rows["spurious_valleys"].value == 0
