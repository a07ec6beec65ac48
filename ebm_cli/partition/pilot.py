"""A pilot: one population led from the base to the model, which finds the temperatures and the step sizes."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.partition.path import Seen, Way
from ebm_cli.partition.recipe import Recipe
from ebm_cli.sampler.hmc import HMC
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.nuts import NUTS

# Share of the population that its weights count as after each step of β.
KEPT = 0.9
FEWEST, MOST_STEPS = 64, 2000
# How hard the step size follows the acceptance, and transitions at each temperature.
GAIN, TRANSITIONS = 0.5, 2
# Of a standard normal's period, beyond which a flight turns back.
QUARTER = math.pi / 2
ROUNDS = 60
# Evaluations that a pilot may make whatever the budget is, so that a refusal can name the budget of a round.
ALLOWED = 10_000

Mover = HMC | MALA | NUTS


@dataclass(frozen=True)
class Schedule:
    """betas: from 0 to 1, one more than there are steps. kernels: frozen, that of each β but the first."""

    betas: list[float]
    kernels: list[Mover]


@dataclass(frozen=True)
class Pilot:
    """betas: from 0 to 1, as far apart as the weights allowed. sizes: a step size each. kernel: what moved."""

    betas: Float[np.ndarray, " steps"]
    sizes: Float[np.ndarray, " steps"]
    kernel: Mover

    def schedule(self, temperatures: int) -> Schedule:
        """So many steps of β, each of an equal share of the pilot's own."""
        own = np.arange(len(self.betas))
        betas = np.interp(np.linspace(0, own[-1], temperatures + 1), own, self.betas)
        return Schedule(betas.tolist(), [self.kernel_at(float(beta)) for beta in betas[1:]])

    def kernel_at(self, beta: float) -> Mover:
        """The kernel with its step size at β."""
        size = math.exp(float(np.interp(beta, self.betas, np.log(self.sizes))))
        return dataclasses.replace(self.kernel, step_size=size)


def kernel_of(recipe: Recipe) -> tuple[Mover, float]:
    """The kernel that a recipe names, and its longest step: a quarter of a standard normal's period."""
    if recipe.kernel == "mala":
        longest = QUARTER**2 / 2
        return MALA(longest, temperature=1.0, scales=None), longest
    if recipe.kernel == "nuts":
        longest = QUARTER / 2
        return NUTS(longest, max_depth=6, temperature=1.0, scales=None), longest
    L = recipe.leapfrog_steps
    return HMC(QUARTER / L, L, jitter=0.3, short=0.0, temperature=1.0, scales=None), QUARTER / L


def lead(way: Way, recipe: Recipe, rng: torch.Generator) -> tuple[Pilot | None, Seen]:
    """The pilot's path and where its population ends; None if 2,000 steps of β, or the budget, do not reach the model.

    Adaptive sequential Monte Carlo (Del Moral, Doucet and Jasra, 2012, Stat. Comput. 22, 1009): β rises until the
    weights count as nine tenths of the population, which is resampled and moved by two transitions. log ε follows the
    acceptance, log ε' = log ε + GAIN·(acceptance − target).
    """
    kernel, longest = kernel_of(recipe)
    before = way.spending.spent
    seen = way.begin(max(recipe.chains, FEWEST), rng)
    betas, sizes = [0.0], [kernel.step_size]
    while betas[-1] < 1:
        drive = seen.drive
        rise = largest_rise(drive, 1 - betas[-1])
        if rise == 0 or len(betas) > MOST_STEPS:
            return None, seen
        if way.spending.left == 0 and way.spending.spent - before > ALLOWED:
            return None, seen
        beta = betas[-1] + rise if rise < 1 - betas[-1] else 1.0
        seen = seen.rows(resampled((beta - betas[-1]) * drive[None], rng).flatten())
        for _ in range(TRANSITIONS):
            state, info = kernel.step(way.at(beta), seen.state(beta), rng)
            seen = way.seen(state, beta)
            size = kernel.step_size * math.exp(GAIN * (float(info.accept.mean()) - kernel.best_acceptance))
            kernel = dataclasses.replace(kernel, step_size=min(size, longest))
        betas.append(beta)
        sizes.append(kernel.step_size)
    return Pilot(np.array(betas), np.array(sizes), kernel), seen


def largest_rise(drive: Float[Tensor, " n"], most: float) -> float:
    """The rise Δ ≤ most of β at which weights exp(Δ·drive) count as nine tenths of those that are not 0; 0 for none."""
    finite = drive[torch.isfinite(drive)]
    if len(finite) < len(drive) / 10 + 1:
        return 0.0
    low, high = 0.0, most
    for _ in range(ROUNDS):
        if share(high * finite) >= KEPT:
            return high
        middle = (low * high) ** 0.5 if low else high / 4
        low, high = (middle, high) if share(middle * finite) >= KEPT else (low, middle)
        if low and high < 1.01 * low:
            return low
    return low


def share(log_w: Float[Tensor, " n"]) -> float:
    """(Σw)²/(n·Σw²)."""
    return float(torch.exp(2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0))) / len(log_w)


def resampled(log_w: Float[Tensor, "groups n"], rng: torch.Generator) -> Int[Tensor, "groups n"]:
    """Systematic resampling in each group by itself: which rows go on, each as often as its weight asks but for < 1."""
    groups, n = log_w.shape
    ends = log_w.softmax(1).cumsum(1)
    begin = torch.rand(groups, 1, generator=rng, dtype=ends.dtype, device=ends.device)
    places = (torch.arange(n, device=ends.device) + begin) / n
    return torch.searchsorted(ends / ends[:, -1:], places).clamp(max=n - 1)
