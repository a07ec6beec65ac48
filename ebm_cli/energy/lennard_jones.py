"""Lennard-Jones cluster: particles that attract each other at a distance and repel each other nearby."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError

DEFAULT_EVENT = (7, 3)


class LennardJones(nn.Module):
    """E(x) = Σ_{i<j} V(rᵢⱼ) + ½k Σᵢ max(0, ‖xᵢ − x̄‖ − R)² + ½c N‖x̄‖², V(r) = 4ε[(σ/r)¹² − (σ/r)⁶].

    x̄ is the center of mass. V is the pair potential of Lennard-Jones, 1931 (Proc. Phys. Soc. 43, 461), in the form of
    the Cambridge Cluster Database. It has its minimum −ε at r = 2^{1/6}σ. Lowest energies at ε = σ = 1, with all
    particles inside the wall, are −3 (N = 3), −6 (4), −16.505384 (7) and −44.326801 (13) (Wales and Doye, 1997,
    J. Phys. Chem. A 101, 5111).

    Below r = core·σ, V continues along its tangent, so that E and its slope are finite for all states and chains can
    leave a random start. At core = 0.8 this changes only pairs with V > 43 ε, which have a probability of about
    exp(−43 ε/T).

    The first two terms depend only on xᵢ − x̄. The wall is smooth: zero inside a sphere of radius R around x̄, and a
    quadratic outside. The last term restrains the center. √N x̄ is independent of the rest and has the distribution
    N(0, T/c). Because the wall and this term confine all particles, Z is finite. It is not known in closed form.

    depth: ε, depth of the well of a pair (> 0).
    diameter: σ, distance at which the energy of a pair is 0 (> 0).
    core: distance below which V is a straight line, in units of σ (in [0, 1)).
    radius: R of the sphere without a wall, in units of x (> 0).
    wall: curvature k of the wall (> 0).
    center: curvature c of the restraint of the center of mass (> 0).
    event: (N, 3) for N ≥ 2 particles; 7 by default.
    """

    incidence: Tensor

    def __init__(
        self,
        depth: float,
        diameter: float,
        core: float,
        radius: float,
        wall: float,
        center: float,
        event: tuple[int, ...] | None,
    ) -> None:
        super().__init__()
        check.positive("depth", depth)
        check.positive("diameter", diameter)
        check.half_open("core", core)
        check.positive("radius", radius)
        check.positive("wall", wall)
        check.positive("center", center)
        self.event = event or DEFAULT_EVENT
        if len(self.event) != 2 or self.event[0] < 2 or self.event[1] != 3:
            raise InputError(f"event must be [N, 3] with N ≥ 2 particles for lennard_jones, got {list(self.event)}")
        self.core, self.radius, self.wall, self.center = core, radius, wall, center
        self.depth = nn.Parameter(torch.tensor(float(depth)))
        self.diameter = nn.Parameter(torch.tensor(float(diameter)))
        self.register_buffer("incidence", pair_incidence(self.event[0]), persistent=False)

    def forward(self, x: Float[Tensor, "n particles 3"]) -> Float[Tensor, " n"]:
        return self._pairs(self.incidence @ x)[0].sum(1) + self._confinement(x)

    def energy_and_grad(
        self, x: Float[Tensor, "n particles 3"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n particles 3"]]:
        between = self.incidence @ x
        pairs, slope_over_r = self._pairs(between)
        grad = self.incidence.T @ (slope_over_r[:, :, None] * between)
        mean = x.mean(1, keepdim=True)
        distance = (x - mean).norm(dim=2, keepdim=True)
        outward = self.wall * (1 - self.radius / distance.clamp(min=self.radius)) * (x - mean)
        grad = grad + outward - outward.mean(1, keepdim=True) + self.center * mean
        return pairs.sum(1) + self._confinement(x), grad

    def _pairs(self, between: Float[Tensor, "n pairs 3"]) -> tuple[Float[Tensor, "n pairs"], Float[Tensor, "n pairs"]]:
        """Return V(r) and V'(r)/r of each pair."""
        r = between.square().sum(2).clamp(min=torch.finfo(between.dtype).tiny).sqrt()
        outer = torch.maximum(r, self.core * self.diameter)
        sixth = (self.diameter / outer) ** 6
        slope = 24 * self.depth * sixth * (1 - 2 * sixth) / outer
        return 4 * self.depth * sixth * (sixth - 1) + slope * (r - outer), slope / r

    def _confinement(self, x: Float[Tensor, "n particles 3"]) -> Float[Tensor, " n"]:
        """Return the energy of the wall and of the center."""
        mean = x.mean(1, keepdim=True)
        outside = ((x - mean).square().sum(2).clamp(min=self.radius**2).sqrt() - self.radius).square().sum(1)
        return 0.5 * self.wall * outside + 0.5 * self.center * x.shape[1] * mean.square().sum((1, 2))


def pair_incidence(particles: int) -> Float[Tensor, "pairs particles"]:
    """Return the matrix that maps positions to the differences xᵢ − xⱼ of all pairs i < j."""
    i, j = torch.triu_indices(particles, particles, 1)
    rows = torch.eye(particles)
    return rows[i] - rows[j]
