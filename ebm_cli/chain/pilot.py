"""A pilot run: one population is annealed from the base to the model and finds the temperatures and step sizes."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.transition import transition
from ebm_cli.path._annealing_path import PathStates
from ebm_cli.path._schedule import equally_spaced, largest_rise, resample
from ebm_cli.sampler.hmc import HMC
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.nuts import NUTS

MIN_POPULATION, MAX_STEPS = 64, 2000
# Gain of log step size per unit of acceptance error, and transitions at each temperature.
GAIN, TRANSITIONS = 0.5, 2
# A quarter of the period of a standard normal: a longer trajectory turns back.
QUARTER_PERIOD = math.pi / 2
# Evaluations that a pilot may use whatever the budget is, so that a refusal can name the budget of a round.
MIN_EVALUATIONS = 10_000
# Steps of the pilot between replicas, and the smallest number of replicas.
REPLICA_SPACING, MIN_REPLICAS = 2, 3

# Range of the number of leapfrog steps of a ladder's kernel, and the jitter of the step size along paths.
MIN_LEAPFROG_STEPS, MAX_LEAPFROG_STEPS = 3, 6
STEP_SIZE_JITTER = 0.3

PathKernel = HMC | MALA | NUTS


@dataclass(frozen=True)
class Schedule:
    """betas: from 0 to 1, one more than steps. kernels: fixed, one for each β but the first."""

    betas: list[float]
    kernels: list[PathKernel]


@dataclass(frozen=True)
class Ladder:
    """betas: falling from 1 to 0, one per replica. step_sizes: one per replica that moves."""

    betas: list[float]
    step_sizes: list[float]

    @property
    def step_factors(self) -> list[float]:
        """Return each replica's step as a multiple of the step at β = 1."""
        return [step / self.step_sizes[0] for step in self.step_sizes]

    @property
    def kernel(self) -> HMC:
        """Return HMC at β = 1 with trajectories of about a quarter of a standard normal's period."""
        step = self.step_sizes[0]
        return path_hmc(step, int(np.clip(round(QUARTER_PERIOD / step), MIN_LEAPFROG_STEPS, MAX_LEAPFROG_STEPS)))


@dataclass(frozen=True)
class Pilot:
    """betas: from 0 to 1. step_sizes: one per β. kernel: the sampler that moved the population."""

    betas: Float[np.ndarray, " steps"]
    step_sizes: Float[np.ndarray, " steps"]
    kernel: PathKernel

    def schedule(self, temperatures: int) -> Schedule:
        """Return a schedule of this many steps, each an equal part of the pilot's own steps."""
        betas = equally_spaced(self.betas, np.arange(len(self.betas), dtype=float), temperatures + 1)
        return Schedule(betas.tolist(), [self.kernel_at(float(beta)) for beta in betas[1:]])

    def replicas(self, spacing: int) -> int:
        """Return the number of replicas that are this many of the pilot's steps apart."""
        return max(MIN_REPLICAS, math.ceil(len(self.betas) / spacing) + 1)

    def ladder(self, replicas: int) -> Ladder:
        """Return replicas that are equal parts of the pilot's path apart."""
        betas = self.schedule(replicas - 1).betas[::-1]
        return Ladder(betas, [self.kernel_at(beta).step_size for beta in betas[:-1]])

    def kernel_at(self, beta: float) -> PathKernel:
        """Return the kernel with its step size at β, interpolated geometrically."""
        step_size = math.exp(float(np.interp(beta, self.betas, np.log(self.step_sizes))))
        return dataclasses.replace(self.kernel, step_size=step_size)


def path_hmc(step_size: float, leapfrog_steps: int) -> HMC:
    """Return the HMC that moves states along paths: with jittered steps, at temperature 1 of each density."""
    return HMC(step_size, leapfrog_steps, STEP_SIZE_JITTER, short=0.0, log_step_std=0.0, temperature=1.0, scales=None)


def with_longest_step(kernel: PathKernel) -> PathKernel:
    """Return the kernel at its maximum step size, at which it travels a quarter of a standard normal's period."""
    if isinstance(kernel, MALA):
        return dataclasses.replace(kernel, step_size=QUARTER_PERIOD**2 / 2)
    steps = kernel.leapfrog_steps if isinstance(kernel, HMC) else 2
    return dataclasses.replace(kernel, step_size=QUARTER_PERIOD / steps)


def run_pilot(
    path: CountedPath, kernel: PathKernel, chains: int, rng: torch.Generator
) -> tuple[Pilot | None, PathStates]:
    """Return the pilot and the final states of its population; None if the model is not reached.

    The model is not reached if that takes more than 2,000 steps of β, or more than the budget.

    Adaptive sequential Monte Carlo (Del Moral, Doucet and Jasra, 2012, Stat. Comput. 22, 1009): β rises until the
    effective sample size is nine tenths of the population, which is resampled and moved by two transitions. The step
    size follows the acceptance, log ε' = log ε + GAIN·(acceptance − target).

    kernel: moves the population; its step size is found.
    chains: size of the population, at least 64.
    """
    kernel = with_longest_step(kernel)
    max_step_size, used_before = kernel.step_size, path.budget.used
    states = path.draw_base(max(chains, MIN_POPULATION), rng)
    betas, step_sizes = [0.0], [kernel.step_size]
    while betas[-1] < 1:
        delta_u, gap = states.delta_u, 1 - betas[-1]
        rise = largest_rise(delta_u, gap)
        exhausted = path.budget.remaining == 0 and path.budget.used - used_before > MIN_EVALUATIONS
        if rise == 0 or len(betas) > MAX_STEPS or exhausted:
            return None, states
        beta = betas[-1] + rise if rise < gap else 1.0
        states = states.select(resample((beta - betas[-1]) * delta_u[None], rng).flatten())
        for _ in range(TRANSITIONS):
            states, info = transition(path, kernel, beta, states, rng)
            factor = math.exp(GAIN * (float(info.accept.mean()) - kernel.best_acceptance))
            kernel = dataclasses.replace(kernel, step_size=min(kernel.step_size * factor, max_step_size))
        betas.append(beta)
        step_sizes.append(kernel.step_size)
    return Pilot(np.array(betas), np.array(step_sizes), kernel), states
