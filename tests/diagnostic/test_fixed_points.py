"""Modes of discrete states: fixed points with exact weights by enumeration, and those that are missing by name."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Result
from ebm_cli.wells.site_descent import descend_sites
from tests.contract import build
from tests.energy.parts import Rows
from tests.sampler.discrete import MODELS, lowest_of_neighbors, probabilities, sites_and_states

pytestmark = pytest.mark.usefixtures("float64")
CHAINS, DRAWS, T = 32, 200, 0.8


def exact_draws(p: Tensor, x: Tensor) -> np.ndarray:
    number = torch.multinomial(p, CHAINS * DRAWS, replacement=True, generator=torch.Generator().manual_seed(0))
    return x[number].view(CHAINS, DRAWS, *x.shape[1:]).numpy()


def occupancy(
    x: np.ndarray, energy: torch.nn.Module, changes: dict[str, float] | None = None, **known: object
) -> Result:
    return build("diagnostic", "mode_occupancy", changes)(ChainContext(Chains(x=x), energy, T, **known))


@pytest.mark.parametrize("model", list(MODELS))
def test_exact_draws_fill_the_basins_of_enumerated_fixed_points_by_their_mass(model: str) -> None:
    energy = MODELS[model]().requires_grad_(False)
    x, p = sites_and_states(energy)[1], probabilities(energy, T)
    rows = occupancy(exact_draws(p, x), energy, {"min_weight": 0.0})
    shares = rows.arrays[0]
    is_fixed = energy(x) <= lowest_of_neighbors(energy) + 1e-12
    assert len(shares.names) == int(is_fixed.sum())
    # A fixed point has at least its own mass, and all have all of it.
    assert sorted(shares.references["exact weight"])[-1] >= float(p[is_fixed].max())
    assert shares.references["exact weight"].sum() == pytest.approx(1)
    assert (abs(shares.occupancy - shares.references["exact weight"]) <= 4 * shares.se + 1e-12).all()
    assert rows.estimates["modes_missing"].value == [] and rows.estimates["occupancy"].verdict == "ok"


def test_a_pattern_that_chains_do_not_visit_is_missing_and_named_by_its_row() -> None:
    patterns = Rows(torch.tensor([[1.0] * 12, [1.0, -1.0] * 6]))
    energy = build("energy", "hopfield", data=patterns, event=None).requires_grad_(False)
    x, p = sites_and_states(energy)[1], probabilities(energy, T)
    end = descend_sites(energy, x, torch.Generator().manual_seed(0))
    away = (end != patterns.x[1]).any(1) & ((x @ patterns.x[1]) < 6)
    for draws, missing in ((p, 0), (p * away, 1)):
        rows = occupancy(exact_draws(draws, x), energy, data=patterns)
        assert len(rows.estimates["modes_missing"].value) == missing
        assert ("overlap 1.00 with row 1, weight" in rows.estimates["modes_missing"].reason) == bool(missing)


def test_above_sixteen_bits_rows_are_the_reference_and_rare_fixed_points_are_joined(rng: torch.Generator) -> None:
    patterns = build("data", "patterns", {"count": 3, "size": 60})
    energy = build("energy", "hopfield", data=patterns, event=None).requires_grad_(False)
    stored = patterns.split("train").x
    # Half of each chain near pattern 0, half near pattern 1, and one draw that leads elsewhere.
    x = stored[:2].repeat_interleave(10, 0).repeat(CHAINS, 1)
    x = torch.where(torch.rand(x.shape, generator=rng) < 0.05, -x, x).view(CHAINS, 20, 60)
    x[0, 0] = -stored[0]
    rows = occupancy(x.numpy(), energy, data=Rows(stored.repeat(160, 1)))
    shares = rows.arrays[0]
    assert shares.labels == ["1", "2", "3", "others"]
    by_row = {int(name.split()[-1]) % 3: share for name, share in zip(shares.names[:3], shares.occupancy, strict=False)}
    assert by_row == pytest.approx({0: 0.5 - 1 / (20 * CHAINS), 1: 0.5, 2: 0.0})
    assert shares.occupancy[3] == pytest.approx(1 / (20 * CHAINS))
    assert rows.estimates["modes_missing"].value == [
        1.0 + [name.endswith("row 2") for name in shares.names].index(True)
    ]
    rows.draw()
