"""Energies of sites that interact in pairs."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites

GRAPHS = ("lattice", "complete")


def lattice_pairs(shape: Sequence[int]) -> Int[Tensor, "edges 2"]:
    """Return the pairs of neighbors on a periodic lattice, each once; a direction of 2 sites has no second edge."""
    index = torch.arange(int(torch.tensor(shape).prod())).view(*shape)
    edges = [
        torch.stack([index.flatten(), index.roll(-1, axis).flatten()], 1) for axis, size in enumerate(shape) if size > 1
    ]
    pairs = torch.cat(edges).sort(1).values if edges else torch.empty(0, 2, dtype=torch.int64)
    return torch.unique(pairs, dim=0)


def complete_pairs(count: int) -> Int[Tensor, "edges 2"]:
    """Return all pairs of sites."""
    return torch.combinations(torch.arange(count)).view(-1, 2)


def listed_pairs(graph: object, count: int) -> Int[Tensor, "edges 2"]:
    """Return the pairs of a user's list of edges. Raises InputError unless they are different pairs of sites."""
    if not isinstance(graph, list) or not graph:
        raise InputError(f"graph must be lattice, complete, or a list of pairs such as [[0,1],[1,2]], got {graph!r}")
    for edge in graph:
        valid = isinstance(edge, list) and len(edge) == 2 and all(isinstance(i, int) and 0 <= i < count for i in edge)
        if not valid or edge[0] == edge[1]:
            raise InputError(f"graph must have pairs of different sites from 0 to {count - 1}, got {edge!r}")
    pairs = torch.tensor(graph).sort(1).values
    if len(torch.unique(pairs, dim=0)) < len(pairs):
        raise InputError("graph must name each pair once")
    return pairs


def check_graph(graph: object) -> None:
    """Raise InputError if a graph is named by another word than lattice and complete."""
    if isinstance(graph, str):
        check.one_of("graph", graph, GRAPHS)


def pairs_of(graph: object, shape: tuple[int, ...]) -> Int[Tensor, "edges 2"]:
    """Return the pairs of sites that interact on a graph: lattice, complete, or a list of pairs.

    shape: in which the sites are arranged.
    """
    if isinstance(graph, str):
        return lattice_pairs(shape) if graph == "lattice" else complete_pairs(math.prod(shape))
    return listed_pairs(graph, math.prod(shape))


class PairInteractions(nn.Module):
    """−Σ_⟨ij⟩ Jᵢⱼ vᵢ·vⱼ − Σᵢ hᵢ·vᵢ of vectors v, one per site, over pairs of neighbors ⟨ij⟩.

    count: number of sites.
    pairs: all pairs of neighbors.
    coupling: J, one number for all pairs or one per pair.
    field: h, one vector for all sites or one per site.
    separate: True for one coupling per pair and one field per site.
    """

    pairs: Tensor
    neighbors: Tensor
    edges: Tensor

    def __init__(
        self, count: int, pairs: Int[Tensor, "edges 2"], coupling: float, field: Float[Tensor, " c"], separate: bool
    ) -> None:
        super().__init__()
        neighbors, edges = neighbor_table(pairs, count)
        for name, value in (("pairs", pairs), ("neighbors", neighbors), ("edges", edges)):
            self.register_buffer(name, value, persistent=False)
        values = torch.tensor(float(coupling))
        self.coupling = nn.Parameter(values.expand(len(pairs)).clone() if separate else values)
        self.field = nn.Parameter(field.expand(count, -1).clone() if separate else field)

    def interaction(self, v: Float[Tensor, "n d c"]) -> Float[Tensor, " n"]:
        """Return the energy of these vectors."""
        products = (v[:, self.pairs[:, 0]] * v[:, self.pairs[:, 1]]).sum(2)
        return -(products * self.coupling).sum(1) - (v * self.field).flatten(1).sum(1)

    def interaction_and_grad(self, v: Float[Tensor, "n d c"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d c"]]:
        """Return the energy of these vectors, and its gradient."""
        sums = self.neighbor_sums(v, slice(None))
        return -(v * (0.5 * sums + self.field)).flatten(1).sum(1), -(sums + self.field)

    def neighbor_sums(self, v: Float[Tensor, "n d c"], sites: Int[Tensor, " m"] | slice) -> Float[Tensor, "n m c"]:
        """Return Σⱼ Jᵢⱼ xⱼ over the neighbors j of each of these sites i."""
        # Sites with fewer neighbors than others have a pair of their own, number −1, without coupling.
        couplings = torch.cat([self.coupling.expand(len(self.pairs)), self.coupling.new_zeros(1)])[self.edges[sites]]
        return torch.einsum("nmec,me->nmc", v[:, self.neighbors[sites]], couplings)


class PairwiseEnergy(PairInteractions):
    """E(x) = −Σ_⟨ij⟩ Jᵢⱼ xᵢ·xⱼ − Σᵢ hᵢ·xᵢ of discrete states, over pairs of neighbors ⟨ij⟩."""

    def __init__(
        self,
        sites: Sites,
        pairs: Int[Tensor, "edges 2"],
        coupling: float,
        field: Float[Tensor, " c"],
        separate: bool,
    ) -> None:
        super().__init__(sites.count, pairs, coupling, field, separate)
        self.sites, self.space, self.event = sites, sites.space, sites.event

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.interaction(self.sites.by_site(x))

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        e, grad = self.interaction_and_grad(self.sites.by_site(x))
        return e, grad.view(x.shape)

    def site_logits(self, x: Float[Tensor, "n *event"], sites: Int[Tensor, " m"]) -> Float[Tensor, "n m k"]:
        field = self.field[sites] if self.field.dim() == 2 else self.field
        force = self.neighbor_sums(self.sites.by_site(x), sites) + field
        return force @ self.sites.vectors(x).T

    def independent_sites(self) -> list[Int[Tensor, " _"]]:
        return [group.to(self.pairs.device) for group in self._groups]

    def n_sites(self) -> int:
        return self.sites.count

    def order_parameter(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """Return (k·p − 1)/(k − 1), p the largest fraction of sites with one of the k values; |Σs|/d for spins."""
        k, numbers = self.sites.values, self.sites.numbers(x)
        fractions = torch.stack([(numbers == value).to(x.dtype).mean(1) for value in range(k)])
        return (k * fractions.amax(0) - 1) / (k - 1)

    def bonds(self) -> Int[Tensor, "pairs 2"]:
        return self.pairs

    def bond_energies(self) -> Float[Tensor, " pairs"]:
        if self.space == "binary":
            raise InputError("clusters need values that are equivalent, spins or categories: energy.values=spin")
        # Equal shifts of all categories change E by a constant.
        if bool((self.field != (0 if self.space == "spin" else self.field[..., :1])).any()):
            raise InputError("clusters need equivalent values, got a field: energy.field=0, or sampler=gibbs")
        if bool((self.coupling < 0).any()):
            raise InputError("clusters need neighbors that prefer equal values, got coupling < 0: sampler=gibbs")
        difference = 2 * self.coupling if self.space == "spin" else self.coupling
        return difference.expand(len(self.pairs))

    def coupling_matrix(self) -> Float[Tensor, "d d"]:
        upper = self.coupling.new_zeros(self.sites.count, self.sites.count)
        upper[self.pairs[:, 0], self.pairs[:, 1]] = self.coupling.detach().expand(len(self.pairs))
        return upper + upper.T

    @cached_property
    def _groups(self) -> list[Int[Tensor, " _"]]:
        """Return sites that are no neighbors of each other, in as few groups as a greedy coloring finds."""
        return colored_groups(self.pairs.cpu(), self.sites.count)


def neighbor_table(
    pairs: Int[Tensor, "edges 2"], count: int
) -> tuple[Int[Tensor, "count degree"], Int[Tensor, "count degree"]]:
    """Return the neighbors of every site, and the number of the pair that each forms with it; −1 for no pair."""
    lists: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for edge, (i, j) in enumerate(pairs.tolist()):
        lists[i].append((j, edge))
        lists[j].append((i, edge))
    degree = max(map(len, lists), default=0)
    padded = torch.tensor([each + [(0, -1)] * (degree - len(each)) for each in lists], dtype=torch.int64)
    padded = padded.view(count, degree, 2)
    return padded[..., 0].contiguous(), padded[..., 1].contiguous()


def colored_groups(pairs: Int[Tensor, "edges 2"], count: int) -> list[Int[Tensor, " _"]]:
    """Return the sites in groups without neighbors: each site, in order, joins the first group that has none."""
    neighbors: list[set[int]] = [set() for _ in range(count)]
    for i, j in pairs.tolist():
        neighbors[i].add(j)
        neighbors[j].add(i)
    groups: list[list[int]] = []
    color: dict[int, int] = {}
    for site in range(count):
        taken = {color[j] for j in neighbors[site] if j in color}
        color[site] = next(k for k in range(len(groups) + 1) if k not in taken)
        if color[site] == len(groups):
            groups.append([])
        groups[color[site]].append(site)
    return [torch.tensor(group) for group in groups]
