"""Gibbs: its transition matrix on all states, with every way in which an energy gives conditional distributions."""

import math
from functools import reduce

import pytest
import torch

from ebm_cli.energy.ising import Ising
from ebm_cli.sampler._lattice_gibbs import lowest_levels
from ebm_cli.sampler.gibbs import Gibbs
from tests.sampler.discrete import (
    MODELS,
    assert_counts_have,
    assert_stationary,
    offered,
    probabilities,
    single_site_matrix,
    sites_and_states,
    step_counts,
)

pytestmark = pytest.mark.usefixtures("float64")
T = 0.8


def test_models_offer_conditionals_hidden_units_or_neither() -> None:
    assert {offered(model()) for model in MODELS.values()} == {(True, False), (False, True), (False, False)}


@pytest.mark.parametrize("model", ["ising", "ising with a field", "potts with a field", "joint rbm", "cubic"])
@pytest.mark.parametrize("scan", ["systematic", "random"])
def test_a_sweep_has_the_matrix_of_its_single_draws(model: str, scan: str, rng: torch.Generator) -> None:
    energy = MODELS[model]().requires_grad_(False)
    sites, p = sites_and_states(energy)[0], probabilities(energy, T)
    singles = [single_site_matrix(energy, site, T) for site in range(sites.count)]
    for matrix in singles:
        assert_stationary(matrix, p)
    if scan == "systematic":
        order = torch.cat(energy.independent_sites()) if offered(energy)[0] else torch.arange(sites.count)
        matrix = reduce(torch.matmul, [singles[site] for site in order])
    else:
        matrix = torch.linalg.matrix_power(torch.stack(singles).mean(0), sites.count)
    assert_stationary(matrix, p)
    if scan == "random":
        # All chains update the same sites: every sweep gives one independent mean over all initial states.
        sweeps = torch.stack([step_counts(Gibbs(T, scan), energy, 1, rng) for _ in range(1500)])
        for values in (energy(sites_and_states(energy)[1]), torch.arange(len(p)).double()):
            means = (p[:, None] * sweeps * values).sum((1, 2))
            error = float(means.std()) / len(means) ** 0.5
            assert abs(float(means.mean() - p @ matrix @ values)) < 4 * error
        stays = (p[:, None] * sweeps).diagonal(dim1=1, dim2=2).sum(1)
        assert abs(float(stays.mean() - p @ matrix.diagonal())) < 4 * float(stays.std()) / len(stays) ** 0.5
        return
    assert_counts_have(matrix, step_counts(Gibbs(T, scan), energy, 4000, rng))


@pytest.mark.parametrize("model", ["rbm", "dbm"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_blocks_of_a_machine_have_the_matrix_of_both_conditionals(
    model: str, temperature: float, rng: torch.Generator
) -> None:
    energy = MODELS[model]().requires_grad_(False)
    energy.set_temperature(temperature)
    joint, p = energy.joint(), probabilities(energy, temperature)
    # One row for each state of the visible units, and one column for each state of the hidden units.
    u = (-joint(sites_and_states(joint)[1]) / temperature).view(len(p), -1)
    matrix = u.softmax(1) @ u.softmax(0).T
    assert_stationary(matrix, p)
    assert_counts_have(matrix, step_counts(Gibbs(temperature, "systematic"), energy, 4000, rng))


RINGS = {
    "spins": lambda: Ising(0.7, 0.0, "lattice", "spin", False, (6,)),
    "spins in a field": lambda: Ising(-0.4, 0.3, "lattice", "spin", False, (1, 6)),
    "zeros and ones, in three groups": lambda: Ising(-0.9, 0.3, "lattice", "binary", False, (5,)),
}


@pytest.mark.parametrize("ring", RINGS)
def test_comparing_integers_has_the_matrix_of_single_draws(ring: str, rng: torch.Generator) -> None:
    energy = RINGS[ring]().requires_grad_(False)
    assert Gibbs(T, "systematic").compilable_on(energy) is not None
    assert Gibbs(T, "random").compilable_on(energy) is None
    order = torch.cat(energy.independent_sites()).tolist()
    matrix = reduce(torch.matmul, [single_site_matrix(energy, site, T) for site in order])
    assert_stationary(matrix, probabilities(energy, T))
    assert_counts_have(matrix, step_counts(Gibbs(T, "systematic"), energy, 4000, rng))


@pytest.mark.parametrize(("values", "coupling"), [("spin", 0.7), ("spin", -0.4), ("binary", 1.1), ("binary", -0.4)])
def test_levels_of_a_lattice_have_its_conditionals_and_its_energy(
    values: str, coupling: float, rng: torch.Generator
) -> None:
    energy = Ising(coupling, 0.3, "lattice", values, False, (4, 3, 6)).requires_grad_(False)
    x = energy.sites.uniform(50, rng, torch.float64)
    v, every = x.movedim(0, -1), torch.arange(energy.sites.count)
    logits = energy.site_logits(x, every)
    levels = energy.level_logits()
    assert (levels.diff() > 0).all()
    of_sites = levels[energy.site_levels(v).round().long()].movedim(-1, 0).flatten(1)
    torch.testing.assert_close(of_sites, logits[..., 1] - logits[..., 0])
    torch.testing.assert_close(energy.lattice_energy(v), energy(x))
    groups = [sites.flatten().nonzero()[:, 0] for sites in energy.sublattices()]
    assert [group.tolist() for group in groups] == [group.tolist() for group in energy.independent_sites()]


def test_integers_reach_as_many_thresholds_as_their_probabilities_say() -> None:
    logits = torch.tensor([-50.0, 0.0, math.log(3.0), 50.0])
    u = torch.tensor([-(2**31), -1, 0, 2**30 - 1, 2**30, 2**31 - 1], dtype=torch.int32)
    assert lowest_levels(u, logits).tolist() == [1, 1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    "energy",
    [
        Ising(1.0, 0.0, "lattice", "spin", True, (4, 4)),
        Ising(1.0, 0.0, "lattice", "spin", False, (2, 4)),
        Ising(1.0, 0.0, "complete", "spin", False, (4, 4)),
    ],
)
def test_graphs_without_equal_neighborhoods_have_no_levels(energy: Ising) -> None:
    assert energy.sublattices() == []
    assert Gibbs(T, "systematic").compilable_on(energy) is None
