"""Wolff: its transition matrix by enumeration of all bonds, and the energies that it refuses."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.energy.ising import Ising
from ebm_cli.energy.potts import Potts
from ebm_cli.sampler import Sampler
from ebm_cli.sampler._clusters import components
from ebm_cli.sampler.swendsen_wang import SwendsenWang
from ebm_cli.sampler.wolff import Wolff
from tests.sampler.discrete import (
    Cubic,
    assert_counts_have,
    assert_stationary,
    probabilities,
    sites_and_states,
    state_numbers,
    step_counts,
)

pytestmark = pytest.mark.usefixtures("float64")
T = 1.3
# A square with a diagonal.
GRAPH = [[0, 1], [1, 2], [2, 3], [0, 3], [0, 2]]
SMALL = {
    "ising": lambda: Ising(0.7, 0.0, GRAPH, "spin", False, (4,)),
    "potts": lambda: Potts(0.9, 0.0, GRAPH, False, (4, 3)),
}
SAMPLERS = pytest.mark.parametrize("sampler", [Wolff(T), SwendsenWang(T)], ids=["wolff", "swendsen_wang"])


def cluster_matrix(energy: Ising | Potts, sampler: Sampler) -> Tensor:
    """The transition matrix, summed over the joins of all pairs and over all values that a kernel may draw."""
    sites, x = sites_and_states(energy)
    numbers, pairs = sites.numbers(x), energy.pairs
    join = 1 - (-energy.bond_energies().detach() / T).exp()
    matrix, rows = torch.zeros(len(x), len(x)), torch.arange(len(x))
    for chosen in itertools.product([False, True], repeat=len(pairs)):
        joined = torch.tensor(chosen)
        equal = numbers[:, pairs[:, 0]] == numbers[:, pairs[:, 1]]
        each = torch.where(equal, join, torch.zeros_like(join))
        weight = torch.where(joined, each, 1 - each).prod(1)
        labels = components(joined[None], pairs, sites.count)[0]
        if isinstance(sampler, Wolff):
            for seed in range(sites.count):
                for shift in range(1, sites.values):
                    changed = (numbers + shift * (labels == labels[seed])) % sites.values
                    ends = state_numbers(sites, sites.states(changed, x.dtype))
                    matrix.index_put_((rows, ends), weight / sites.count / (sites.values - 1), accumulate=True)
        else:
            count = int(labels.max()) + 1
            for values in itertools.product(range(sites.values), repeat=count):
                end = state_numbers(sites, sites.states(torch.tensor(values)[labels][None], x.dtype))
                matrix[:, end] += (weight / sites.values**count)[:, None]
    return matrix


@SAMPLERS
@pytest.mark.parametrize("model", list(SMALL))
def test_it_has_the_matrix_of_all_joins(sampler: Sampler, model: str, rng: torch.Generator) -> None:
    energy = SMALL[model]().requires_grad_(False)
    matrix = cluster_matrix(energy, sampler)
    assert_stationary(matrix, probabilities(energy, T))
    assert_counts_have(matrix, step_counts(sampler, energy, 4000, rng))


@SAMPLERS
@pytest.mark.parametrize(
    ("energy", "problem"),
    [
        (Ising(1.0, 0.2, "lattice", "spin", False, (3, 3)), "got a field"),
        (Ising(-1.0, 0.0, "lattice", "spin", False, (3, 3)), "got coupling < 0"),
        (Ising(1.0, 0.0, "lattice", "binary", False, (3, 3)), "energy.values=spin"),
        (Cubic(), "energy=ising or energy=potts"),
    ],
)
def test_energies_without_such_clusters_are_refused(
    sampler: Sampler, energy: nn.Module, problem: str, rng: torch.Generator
) -> None:
    energy, (_, x) = energy.double(), sites_and_states(energy)
    with pytest.raises(InputError, match=problem):
        sampler.step(energy, sampler.init(energy, x, rng), rng)
