"""XY model: angles that prefer, or avoid, the direction of their neighbors."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import ive
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import _von_mises
from ebm_cli.energy._pairwise import PairInteractions, check_graph, pairs_of


class XY(PairInteractions):
    """E(x) = −J Σ_⟨ij⟩ cos(xᵢ − xⱼ) − h Σᵢ cos xᵢ over pairs of neighbors ⟨ij⟩, with angles xᵢ in [−π, π).

    The planar rotator model. On the square lattice without a field, pairs of vortices separate at T ≈ 0.893 J
    (Kosterlitz and Thouless, 1973). Without couplings, angles are independent, each with a von Mises distribution.

    log Z is known in closed form, with modified Bessel functions Iₙ and K = J/T, without a field on a ring of N ≥ 3
    sites, (2π)ᴺ Σₙ Iₙ(K)ᴺ over all integers n, and on a graph without loops, (2π)ᴺ Π I₀(K) over its pairs; and without
    couplings, (2π)ᴺ Π I₀(h/T) over its sites. There are exact draws without couplings.

    coupling: J, positive for neighbors that prefer equal directions.
    field: h, along x = 0.
    graph: the pairs: lattice, periodic and of the shape of a state; complete, all pairs; or a list of pairs of sites.
    separate: True for one coupling per pair and one field per site, a vector in the plane.
    event: shape of one state; 16 × 16 by default.
    """

    space = "periodic"

    def __init__(
        self, coupling: float, field: float, graph: Any, separate: bool, event: tuple[int, ...] | None
    ) -> None:
        check_graph(graph)
        check.number("coupling", coupling)
        check.number("field", field)
        shape = event or (16, 16)
        count, pairs = math.prod(shape), pairs_of(graph, shape)
        super().__init__(count, pairs, coupling, torch.tensor([float(field), 0.0]), separate)
        self.event, self.count = shape, count
        self.is_ring = graph == "lattice" and [size for size in self.event if size > 1] == [count] and count > 2
        self.has_loops = has_loops(pairs, count)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.interaction(unit_vectors(x))

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        v = unit_vectors(x)
        e, grad = self.interaction_and_grad(v)
        # The derivative of (cos x, sin x) is (−sin x, cos x).
        return e, (grad[..., 1] * v[..., 0] - grad[..., 0] * v[..., 1]).view(x.shape)

    def n_sites(self) -> int:
        return self.count

    def order_parameter(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """Return |Σᵢ (cos xᵢ, sin xᵢ)|/d."""
        return unit_vectors(x).mean(1).norm(dim=1)

    def log_z(self, temperature: float) -> float:
        return float(self.log_partition(temperature).detach())

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        """Return log Z. Raises ValueError for a graph with loops that is no ring, and for couplings with a field."""
        K = self.coupling.double().expand(len(self.pairs)) / temperature
        H = self.field.double().expand(self.count, 2) / temperature
        if not bool(H.any()):
            if not self.has_loops:
                return self.count * math.log(2 * math.pi) + bessel_logs(K.abs())
            if self.is_ring and self.coupling.dim() == 0:
                return ring_log_z(K[0], self.count)
        elif not bool(K.any()):
            return independent_log_z(H, K, self.pairs)
        raise ValueError("it is known without a field on a ring or a graph without loops, and without couplings")

    def draw(self, n: int, temperature: float, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Return independent angles. Raises ValueError if there are couplings."""
        if len(self.pairs) and bool(self.coupling.any()):
            raise ValueError("the sites are not independent")
        with torch.no_grad():
            H = self.field.expand(self.count, 2) / temperature
            mean, κ = torch.atan2(H[:, 1], H[:, 0]), H.norm(dim=1)
            return _von_mises.draw(mean.expand(n, -1), κ.expand(n, -1), rng).view(n, *self.event)


def unit_vectors(x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d 2"]:
    """Return (cos x, sin x) of each angle."""
    x = x.flatten(1)
    return torch.stack([x.cos(), x.sin()], 2)


def has_loops(pairs: Tensor, count: int) -> bool:
    """Return True if a graph of `count` sites has more pairs than a forest with the same connected parts."""
    i, j = pairs.cpu().numpy().T
    parts, _ = connected_components(coo_matrix((np.ones(len(i)), (i, j)), shape=(count, count)), directed=False)
    return len(pairs) > count - parts


def bessel_logs(κ: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return Σ log I₀(κ) for κ ≥ 0."""
    return (torch.special.i0e(κ).log() + κ).sum()


def independent_log_z(H: Float[Tensor, "d 2"], K: Float[Tensor, " pairs"], pairs: Tensor) -> Float[Tensor, ""]:
    """Return log (2π)ᵈ Π I₀(|hᵢ|/T), for couplings K = 0.

    The derivative by K is that of the model, ⟨cos(xᵢ − xⱼ)⟩ = ⟨cos xᵢ⟩⟨cos xⱼ⟩ + ⟨sin xᵢ⟩⟨sin xⱼ⟩.
    """
    # The norm has no derivative at 0.
    κ = H.square().sum(1).clamp(min=1e-300).sqrt()
    means = (torch.special.i1e(κ) / torch.special.i0e(κ) / κ)[:, None] * H
    first_order = (K * (means[pairs[:, 0]] * means[pairs[:, 1]]).sum(1)).sum()
    return _von_mises.log_normalizer(κ).sum() + first_order


def ring_log_z(K: Float[Tensor, ""], length: int) -> Float[Tensor, ""]:
    """Return log (2π)ᴺ Σₙ Iₙ(K)ᴺ, the eigenvalues 2π Iₙ of the transfer matrix; Iₙ(−K) = (−1)ⁿ Iₙ(K)."""
    value = float(K.detach())
    n = np.arange(-(30 + int(10 * abs(value) ** 0.5)), 31 + int(10 * abs(value) ** 0.5))
    scaled, neighbors = ive(n, value), (ive(n - 1, value) + ive(n + 1, value)) / 2
    top = float(ive(0, abs(value)))
    total = float(((scaled / top) ** length).sum())
    log_z = length * (math.log(2 * math.pi) + abs(value) + math.log(top)) + math.log(total)
    slope = length * float(((scaled / top) ** (length - 1) * neighbors / top).sum()) / total
    return log_z + slope * (K - K.detach())
