"""A Chow–Liu tree: a model with a higher likelihood has learned more than one pair correlation per site."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor
from torch.nn.functional import one_hot

from ebm_cli.density.discrete_rows import PSEUDO_COUNTS, DiscreteFitData

# Largest number of pair counts at a time.
MAX_COUNTS = 20_000_000


@dataclass(frozen=True)
class Tree:
    """log Πᵢ p(xᵢ | x_parent(i)).

    order: the sites from the root on, each after its parent.
    parents: parent of each site; the root is its own.
    log_p: log p(xᵢ = v | x_parent(i) = u) at [i, u, v]. That of the root does not depend on u.
    """

    order: Int[Tensor, " d"]
    parents: Int[Tensor, " d"]
    log_p: Float[Tensor, "d k k"]

    words = "Chow–Liu tree"

    def log_prob(self, numbers: Int[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.log_p[torch.arange(len(self.parents)), numbers[:, self.parents], numbers].sum(1)

    def draw(self, n: int, rng: torch.Generator) -> Int[Tensor, "n d"]:
        """Return n independent draws, from the root on."""
        numbers = torch.zeros(n, len(self.parents), dtype=torch.long)
        for i in self.order.tolist():
            p = self.log_p[i, numbers[:, self.parents[i]]].exp()
            numbers[:, i] = torch.multinomial(p, 1, generator=rng)[:, 0]
        return numbers


def fit(data: DiscreteFitData) -> Tree:
    """Return the tree of the largest likelihood: the maximum spanning tree by mutual information (Chow and Liu, 1968).

    Pair frequencies have α/k² pseudo-counts for each pair of values. The tree is that of α = 1; α of its conditional
    probabilities is the best in validation.
    """
    k = data.sites.values
    order, parents = spanning_tree(data.fit, k)
    scores = [
        float(Tree(order, parents, conditionals(data.fit, parents, k, α)).log_prob(data.check).mean())
        for α in PSEUDO_COUNTS
    ]
    order, parents = spanning_tree(data.whole, k)
    α = PSEUDO_COUNTS[scores.index(max(scores))]
    return Tree(order, parents, conditionals(data.whole, parents, k, α))


def spanning_tree(numbers: Int[Tensor, "n d"], k: int) -> tuple[Int[Tensor, " d"], Int[Tensor, " d"]]:
    """Return the sites in breadth-first order from site 0, and their parents."""
    d = numbers.shape[1]
    if d == 1:
        return torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    # All spanning trees have d − 1 edges. The added number keeps an edge without information an edge.
    weights = -(mutual_information(numbers, k) + 1)
    np.fill_diagonal(weights, 0)
    order, parents = breadth_first_order(minimum_spanning_tree(weights), 0, directed=False)
    parents[0] = 0
    return torch.as_tensor(order).long(), torch.as_tensor(parents).long()


def mutual_information(numbers: Int[Tensor, "n d"], k: int) -> Float[np.ndarray, "d d"]:
    """Return Σ p(u, v) log (p(u, v)/(p(u) p(v))) of all pairs of sites, with 1/k² pseudo-counts for each (u, v)."""
    n, d = numbers.shape
    x = one_hot(numbers, k).float().flatten(1)
    total = n + 1
    log_p = ((x.sum(0) + 1 / k) / total).log().double()
    width = k * max(1, MAX_COUNTS // (k * k * d))
    information = []
    for part, part_log_p in zip(x.split(width, dim=1), log_p.split(width), strict=True):
        joint = ((part.T @ x).double() + 1 / k**2) / total
        ratio = joint.log() - part_log_p[:, None] - log_p
        information.append((joint * ratio).view(-1, k, d, k).sum((1, 3)))
    return torch.cat(information).numpy()


def conditionals(numbers: Int[Tensor, "n d"], parents: Int[Tensor, " d"], k: int, α: float) -> Float[Tensor, "d k k"]:
    """Return log p(xᵢ | x_parent(i)) with the pair frequencies of these rows and α pseudo-counts."""
    d = len(parents)
    cells = (torch.arange(d) * k + numbers[:, parents]) * k + numbers
    counts = torch.bincount(cells.flatten(), minlength=d * k * k).view(d, k, k).double() + α / k**2
    counts[0] = counts[0].sum(0)
    return (counts / counts.sum(2, keepdim=True)).log()
