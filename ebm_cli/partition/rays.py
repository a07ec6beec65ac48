"""Rays: whether exp(−E/T) has an integral, from how E rises along its valleys far out, in any dimension."""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.path._coordinates import WhitenedEnergy

# First radius, in standard deviations of the model times √d, and the number of times it is doubled.
FIRST_RADIUS, N_DOUBLINGS = 30.0, 10
# Number of directions that are followed, of random directions, and of steps on each sphere.
N_FOLLOWED, N_RANDOM, N_STEPS = 16, 256, 12
# Maximum number of axes of x that are tried.
MAX_AXES = 256
# The last doublings decide: E/T must rise by more than MIN_RISE·log 2 in one of them, and the log mass of shells must
# fall by more than MIN_FALL nats in one of them.
N_LAST, MIN_RISE, MIN_FALL = 4, 1.03, 0.03
REMEDY = "make E rise, such as by energy.confinement"


def not_normalizable(space: WhitenedEnergy, budget: Budget) -> str:
    """Return why ∫ exp(−U(z)) dz does not exist; empty if there is no sign of that.

    On spheres of growing radius R the minimum of U is sought by steps that stay on the sphere, from random directions
    and from those of the previous sphere. A valley of constant width holds about R·exp(−U(R)) between R and 2R, a
    widening one more, so that the integral does not exist if U rises by no more than log 2 with every doubling of R. It
    does not exist either if the mean of exp(−U) over random directions, times R^d, does not fall. A valley that narrows
    outward, or that the search misses, is not detected.
    """
    d = len(space.center)
    rng = torch.Generator().manual_seed(0)
    radius = FIRST_RADIUS * math.sqrt(d)
    fixed = unit(torch.randn(N_RANDOM, d, generator=rng, dtype=torch.float64))
    axes = unit(torch.linalg.inv(space.scale_matrix.double().cpu()).T[:MAX_AXES])
    directions = fixed[: N_FOLLOWED // 2]
    lowest, shells = [], []
    for _ in range(N_DOUBLINGS + 1):
        tried = torch.cat([fixed, axes, -axes, directions])
        log_f = space.log_density(radius * tried)
        budget.charge(len(tried))
        shells.append(float(log_f[:N_RANDOM].logsumexp(0)) + d * math.log(radius))
        directions = tried[log_f.argsort(descending=True)[:N_FOLLOWED]]
        directions, best = descend_on_sphere(space, directions, radius, budget)
        lowest.append(min(best, -float(log_f.max())))
        radius *= 2
    span = f"from {radius / 4:.2g} to {radius / 2:.2g} standard deviations out"
    claim = "exp(−E/T) appears to have no finite integral:"
    rises = last_rises(lowest)
    if rises and max(rises) <= MIN_RISE * math.log(2):
        return f"{claim} along a direction E/T rises by {rises[-1]:.3g} nats {span}, not by more than 0.69; {REMEDY}"
    rises = last_rises(shells)
    if rises and min(rises) > -MIN_FALL:
        return f"{claim} shells hold e^{rises[-1]:.2g} times the mass of those half as wide {span}; {REMEDY}"
    return ""


def last_rises(values: list[float]) -> list[float]:
    """Return the last differences of these values; none if a value is not finite."""
    last = values[-N_LAST - 1 :]
    return [b - a for a, b in itertools.pairwise(last)] if all(math.isfinite(v) for v in last) else []


def unit(z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Return the same directions with length 1."""
    return z / z.norm(dim=1, keepdim=True)


def descend_on_sphere(
    space: WhitenedEnergy, u: Float[Tensor, "n d"], radius: float, budget: Budget
) -> tuple[Float[Tensor, "n d"], float]:
    """Return directions after steps of descent on a sphere, with step sizes that lower U, and the minimum of U."""
    e, grad = tangent(space, u, radius)
    rate = torch.full((len(u), 1), 0.3, dtype=torch.float64)
    for _ in range(N_STEPS):
        budget.charge(len(u))
        new = unit(u - rate * grad / grad.norm(dim=1, keepdim=True).clamp(min=1e-30))
        new_e, new_grad = tangent(space, new, radius)
        down = (new_e < e)[:, None]
        u, grad = torch.where(down, new, u), torch.where(down, new_grad, grad)
        e = torch.where(down[:, 0], new_e, e)
        rate = torch.where(down, 1.5 * rate, rate / 3)
    return u, float(e.min())


def tangent(
    space: WhitenedEnergy, u: Float[Tensor, "n d"], radius: float
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """Return U and its gradient along the sphere, 0 for an energy without a gradient."""
    z = radius * u
    try:
        grad = energy_and_grad(space, z.to(space.center))[1].double().cpu()
    except InputError:
        grad = torch.zeros_like(z)
    grad = grad.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return -space.log_density(z), grad - (grad * u).sum(1, keepdim=True) * u
