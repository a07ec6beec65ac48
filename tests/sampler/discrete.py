"""Small discrete models whose states can all be enumerated, and what a kernel does from each state."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ebm_cli.data._sites import Sites
from ebm_cli.energy import space_of
from ebm_cli.energy._capabilities import Conditionals, HiddenUnits, offers
from ebm_cli.energy.dbm import DBM
from ebm_cli.energy.ising import Ising
from ebm_cli.energy.potts import Potts
from ebm_cli.energy.rbm import RBM
from ebm_cli.sampler import Sampler


class Cubic(nn.Module):
    """Bits with an interaction of three, which offers nothing but E."""

    space, event = "binary", (2, 2)

    def forward(self, x: Tensor) -> Tensor:
        v = x.flatten(1)
        return v @ v.new_tensor([0.3, -0.8, 0.5, 0.2]) + 1.5 * v[:, 0] * v[:, 1] * v[:, 3] - v[:, 1] * v[:, 2]


def rbm(visible: int = 5, hidden: int = 3) -> RBM:
    """A machine with weights of about 1."""
    energy, rng = RBM(hidden, True, False, (visible,), None), torch.Generator().manual_seed(1)
    for p in energy.parameters():
        p.data.copy_(torch.randn(p.shape, generator=rng, dtype=p.dtype))
    return energy


def dbm() -> DBM:
    """A machine of 4 visible, 2 hidden and 2 top units, with weights of about 1."""
    energy, rng = DBM(2, 2, True, (4,), None), torch.Generator().manual_seed(3)
    for p in energy.parameters():
        p.data.copy_(torch.randn(p.shape, generator=rng, dtype=p.dtype))
    return energy


def joint_rbm() -> nn.Module:
    """The joint energy of 3 visible and 2 hidden units of such a machine."""
    return rbm(3, 2).joint()


MODELS: dict[str, Callable[[], nn.Module]] = {
    "ising": lambda: Ising(0.7, 0.0, "lattice", "spin", False, (2, 3)),
    "ising with a field": lambda: Ising(-0.4, 0.3, "complete", "binary", False, (5,)),
    "potts": lambda: Potts(0.8, 0.0, [[0, 1], [1, 2], [2, 3]], False, (4, 3)),
    "potts with a field": lambda: Potts(0.8, [0.3, 0.0, -0.2], "complete", False, (3, 3)),
    "rbm": rbm,
    "dbm": dbm,
    "joint rbm": joint_rbm,
    "cubic": Cubic,
}


def sites_and_states(energy: nn.Module) -> tuple[Sites, Tensor]:
    """The sites of a model and all of its states, in double precision."""
    sites = Sites(space_of(energy), tuple(energy.event))  # pyright: ignore[reportArgumentType]
    return sites, sites.enumerated(0, sites.values**sites.count, torch.device("cpu"), torch.float64)


def probabilities(energy: nn.Module, temperature: float) -> Tensor:
    """exp(−E/T)/Z of all states."""
    with torch.no_grad():
        return (-energy(sites_and_states(energy)[1]) / temperature).softmax(0)


def state_numbers(sites: Sites, x: Tensor) -> Tensor:
    """The number of each state in the enumeration."""
    powers = sites.values ** torch.arange(sites.count - 1, -1, -1)
    return (sites.numbers(x) * powers).sum(1)


def lowest_of_neighbors(energy: nn.Module) -> Tensor:
    """The lowest energy of the states that differ in one site from each state."""
    sites, x = sites_and_states(energy)
    numbers = sites.numbers(x)
    is_neighbor = (numbers[:, None] != numbers[None]).sum(2) == 1
    return torch.where(is_neighbor, energy(x), torch.inf).amin(1)


def step_counts(sampler: Sampler, energy: nn.Module, each: int, rng: torch.Generator) -> Tensor:
    """How many of `each` chains from every state are in every state after one step: row by initial state."""
    sites, x = sites_and_states(energy)
    with torch.no_grad():
        state = sampler.init(energy, x.repeat_interleave(each, 0), rng)
        state, _ = sampler.step(energy, state, rng)
    pairs = torch.arange(len(x)).repeat_interleave(each) * len(x) + state_numbers(sites, state.x)
    return torch.bincount(pairs, minlength=len(x) ** 2).view(len(x), len(x)).double()


def single_site_matrix(energy: nn.Module, site: int, temperature: float) -> Tensor:
    """The transition matrix of drawing one site given all others, from the energies of all states."""
    sites, x = sites_and_states(energy)
    p, numbers = probabilities(energy, temperature), sites.numbers(x)
    others = torch.arange(sites.count) != site
    same = (numbers[:, None, others] == numbers[None, :, others]).all(2).double()
    return same * p / (same * p).sum(1, keepdim=True)


def assert_stationary(matrix: Tensor, p: Tensor) -> None:
    """Rows sum to one, and p is a left eigenvector with eigenvalue 1."""
    torch.testing.assert_close(matrix.sum(1), torch.ones_like(p), atol=1e-12, rtol=0)
    torch.testing.assert_close(p @ matrix, p, atol=1e-10, rtol=0)


def assert_counts_have(matrix: Tensor, counts: Tensor) -> None:
    """χ² of all rows is within 4 standard deviations of its mean; states of little mass are joined to one per row."""
    expected = matrix * counts.sum(1, keepdim=True)
    assert not counts[matrix < 1e-12].any()
    large = expected >= 10
    rest = torch.stack([counts.masked_fill(large, 0).sum(1), expected.masked_fill(large, 0).sum(1)])
    kept = rest[1] >= 10
    found = torch.cat([counts[large], rest[0][kept]])
    mean = torch.cat([expected[large], rest[1][kept]])
    freedom = len(mean) - len(counts)
    chi_squared = float(((found - mean).square() / mean).sum())
    assert abs(chi_squared - freedom) < 4 * (2 * freedom) ** 0.5


def offered(energy: nn.Module) -> tuple[bool, bool]:
    """Whether a model offers conditionals and hidden units."""
    return offers(energy, Conditionals), offers(energy, HiddenUnits)
