"""Random clusters of equal values, whose sites change together."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites
from ebm_cli.energy._capabilities import PairBonds, offers

NO_BONDS = "clusters need an energy of pairs of sites that prefer equal values, such as energy=ising or energy=potts"


def clusters(
    energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"], temperature: float, rng: torch.Generator
) -> Int[Tensor, "n d"]:
    """Return the number of each site's cluster, different for all clusters of all chains.

    Neighbors with equal values are joined with probability 1 − exp(−D/T), D the energy of different values minus that
    of equal values (Fortuin and Kasteleyn, 1972). Components are found on the CPU.
    """
    if not offers(energy, PairBonds):
        raise InputError(NO_BONDS)
    numbers, pairs = sites.numbers(x), energy.bonds()
    u = torch.rand(len(x), len(pairs), generator=rng, dtype=x.dtype, device=x.device)
    is_equal = numbers[:, pairs[:, 0]] == numbers[:, pairs[:, 1]]
    joined = is_equal & (u < -torch.expm1(-energy.bond_energies() / temperature))
    return components(joined, pairs, sites.count)


def components(joined: Tensor, pairs: Int[Tensor, "edges 2"], count: int) -> Int[Tensor, "n count"]:
    """Return the connected components of each chain's sites, numbered over all chains."""
    chain, edge = joined.cpu().numpy().nonzero()
    ends = pairs.cpu().numpy()[edge] + (chain * count)[:, None]
    nodes = len(joined) * count
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    labels = connected_components(graph, directed=False)[1]
    return torch.from_numpy(labels.astype(np.int64)).view(-1, count).to(joined.device)
