"""Rays: whether exp(−E/T) has an integral at all, from how E rises along its valleys far out, in any dimension."""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import Whitened

# Radii, in standard deviations of the model times √d: from the first, doubled so often.
FIRST, DOUBLINGS = 30.0, 10
# Directions that are followed, random directions, and steps on each sphere.
FOLLOWED, DRAWN, STEPS = 16, 256, 12
# Axes of x that are tried at most.
MOST_AXES = 256
# Doublings at the end over which E/T must rise by more than log 2 each, by how much more, and nats by which the mass of
# shells must fall.
LAST, MARGIN, SLOWEST = 4, 1.03, 0.03
REMEDY = "make E rise, such as by energy.confinement"


def not_normalizable(space: Whitened, spending: Spending) -> str:
    """Why ∫ exp(−U(z)) dz does not exist, in words; empty where nothing tells so.

    On spheres of growing radius R the lowest U is sought by steps that stay on the sphere, begun at random directions
    and at those of the sphere before. A valley that keeps its width holds about R·exp(−U(R)) between R and 2R, one that
    widens more, so that the integral does not exist where U rises by no more than log 2 with every doubling of R. Nor
    does it where the mean of exp(−U) over random directions, times R^d, does not fall. Only a valley that narrows as it
    goes out escapes this, and one that nobody finds.
    """
    d = len(space.middle)
    rng = torch.Generator().manual_seed(0)
    radius = FIRST * math.sqrt(d)
    fixed = unit(torch.randn(DRAWN, d, generator=rng, dtype=torch.float64))
    axes = unit(torch.linalg.inv(space.root.double().cpu()).T[:MOST_AXES])
    directions = fixed[: FOLLOWED // 2]
    lowest, shells = [], []
    for _ in range(DOUBLINGS + 1):
        tried = torch.cat([fixed, axes, -axes, directions])
        log_f = space.log_density(radius * tried)
        spending.spend(len(tried))
        shells.append(float(log_f[:DRAWN].logsumexp(0)) + d * math.log(radius))
        directions = tried[log_f.argsort(descending=True)[:FOLLOWED]]
        directions, best = followed(space, directions, radius, spending)
        lowest.append(min(best, -float(log_f.max())))
        radius *= 2
    span = f"from {radius / 4:.2g} to {radius / 2:.2g} standard deviations out"
    begin = "exp(−E/T) has no finite integral as far as can be told:"
    rises = last_rises(lowest)
    if rises and max(rises) <= MARGIN * math.log(2):
        return f"{begin} along a direction E/T rises by {rises[-1]:.3g} nats {span}, not by more than 0.69; {REMEDY}"
    rises = last_rises(shells)
    if rises and min(rises) > -SLOWEST:
        return f"{begin} shells hold e^{rises[-1]:.2g} times the mass of those half as wide {span}; {REMEDY}"
    return ""


def last_rises(values: list[float]) -> list[float]:
    """The last differences of these; none where one is not finite."""
    last = values[-LAST - 1 :]
    return [b - a for a, b in itertools.pairwise(last)] if all(math.isfinite(v) for v in last) else []


def unit(z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The same directions, of length 1."""
    return z / z.norm(dim=1, keepdim=True)


def followed(
    space: Whitened, u: Float[Tensor, "n d"], radius: float, spending: Spending
) -> tuple[Float[Tensor, "n d"], float]:
    """Directions after steps of descent on a sphere, each as long as lowers U, and the lowest U."""
    e, grad = tangent(space, u, radius)
    rate = torch.full((len(u), 1), 0.3, dtype=torch.float64)
    for _ in range(STEPS):
        spending.spend(len(u))
        step = rate * grad / grad.norm(dim=1, keepdim=True).clamp(min=1e-30)
        new = u - step
        new = unit(new)
        new_e, new_grad = tangent(space, new, radius)
        down = (new_e < e)[:, None]
        u, grad = torch.where(down, new, u), torch.where(down, new_grad, grad)
        e = torch.where(down[:, 0], new_e, e)
        rate = torch.where(down, 1.5 * rate, rate / 3)
    return u, float(e.min())


def tangent(
    space: Whitened, u: Float[Tensor, "n d"], radius: float
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """U and its gradient along the sphere, 0 for an energy without one."""
    z = radius * u
    try:
        grad = energy_and_grad(space, z.to(space.middle))[1].double().cpu()
    except InputError:
        grad = torch.zeros_like(z)
    grad = grad.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return -space.log_density(z), grad - (grad * u).sum(1, keepdim=True) * u
