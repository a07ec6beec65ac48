"""A pilot run: one population is annealed from the base to the model and finds the temperatures and step sizes."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import AnyCountedPath, CountedPath
from ebm_cli.chain.path_kernels import (
    DiscreteKernel,
    PathKernel,
    quarter_period_hmc,
    step_size_of,
    with_longest_step,
    with_step_size,
)
from ebm_cli.chain.transition import transition
from ebm_cli.path._annealing_path import PathStates
from ebm_cli.path._places import Place
from ebm_cli.path._schedule import equally_spaced, largest_rise, resample
from ebm_cli.sampler.hmc import HMC

MIN_POPULATION, MAX_STEPS = 64, 2000
# Gain of log step size per unit of acceptance error, and transitions at each temperature.
GAIN, TRANSITIONS = 0.5, 2
# Evaluations that a pilot may use whatever the budget is, so that a refusal can name the budget of a round.
MIN_EVALUATIONS = 10_000
# Steps of the pilot between replicas, and the smallest number of replicas.
REPLICA_SPACING, MIN_REPLICAS = 2, 3

ROUNDING = 1e-9


@dataclass(frozen=True)
class Schedule:
    """betas: from 0 to 1, one more than steps. kernels: fixed, one for each β but the first."""

    betas: list[float]
    kernels: list[PathKernel]


@dataclass(frozen=True)
class Ladder:
    """Replicas that a pilot has found.

    betas: falling from 1 to 0, one per replica. step_sizes: one per replica that moves. pilot_kernel: of the pilot.
    """

    betas: list[float]
    step_sizes: list[float]
    pilot_kernel: PathKernel | None = None

    @property
    def step_factors(self) -> list[float]:
        """Return each replica's step as a multiple of the step at β = 1; 1 for discrete states, which have one step."""
        if isinstance(self.pilot_kernel, DiscreteKernel):
            return [1.0] * len(self.step_sizes)
        return [step / self.step_sizes[0] for step in self.step_sizes]

    @property
    def kernel(self) -> HMC | DiscreteKernel:
        """Return the kernel at β = 1: HMC, or for discrete states the kernel of the pilot."""
        step = self.step_sizes[0]
        if isinstance(self.pilot_kernel, DiscreteKernel):
            return with_step_size(self.pilot_kernel, step)
        return quarter_period_hmc(step)


@dataclass(frozen=True)
class Pilot:
    """betas: from 0 to 1. step_sizes: one per β. kernel: the sampler that moved the population.

    populations: states at the base and at the upper end of each segment.
    """

    betas: Float[np.ndarray, " steps"]
    step_sizes: Float[np.ndarray, " steps"]
    kernel: PathKernel
    populations: tuple[Float[Tensor, "n *d"], ...] = ()

    @property
    def anchors(self) -> list[int]:
        """Return the numbers of all anchors of the path, from 0, the base, to the model."""
        return list(range(len(self.populations)))

    def schedule(self, temperatures: int) -> Schedule:
        """Return a schedule of this many steps, each an equal part of the pilot's own steps."""
        betas = equally_spaced(self.betas, np.arange(len(self.betas), dtype=float), temperatures + 1)
        return Schedule(betas.tolist(), [self.kernel_at(float(beta)) for beta in betas[1:]])

    def ladder_through(self, anchors: list[int], spacing: int) -> Ladder:
        """Return replicas that are this many of the pilot's steps apart, and at these anchors.

        anchors: their numbers, from 0, the base, to the model. There are no replicas between two anchors if the pilot's
            path leads through another one between them.
        """
        count, kept = anchors[-1], len(anchors) - 1
        betas, step_sizes = [0.0], []
        for segment, (lower, upper) in enumerate(pairwise(anchors)):
            places = self.places_on_segment(lower, count, spacing) if upper == lower + 1 else [0.0, 1.0]
            betas += [Place(segment, beta).on_path(kept) for beta in places[1:]]
            step_sizes += [self.step_size_at((lower + beta * (upper - lower)) / count) for beta in places[1:]]
        return Ladder(betas[::-1], step_sizes[::-1], self.kernel)

    def places_on_segment(self, segment: int, count: int, spacing: int) -> list[float]:
        """Return β of replicas on one of the path's segments, from 0 to 1, equal parts of the pilot's steps apart."""
        lengths = self.betas * count - segment
        # Anchors may be rounded.
        on_segment = np.clip(lengths[(lengths > -ROUNDING) & (lengths < 1 + ROUNDING)], 0.0, 1.0)
        # The lower end of a segment is counted on the segment below.
        own = len(on_segment) - (segment > 0)
        replicas = math.ceil(own / spacing) + 1
        replicas = max(replicas, MIN_REPLICAS if count == 1 else 2)
        return equally_spaced(on_segment, np.arange(len(on_segment), dtype=float), replicas).tolist()

    def kernel_at(self, beta: float) -> PathKernel:
        """Return the kernel with its step size at β."""
        return with_step_size(self.kernel, self.step_size_at(beta))

    def step_size_at(self, beta: float) -> float:
        """Return the step size at β, interpolated geometrically."""
        return math.exp(float(np.interp(beta, self.betas, np.log(self.step_sizes))))


def run_pilot(
    path: AnyCountedPath, kernel: PathKernel, chains: int, rng: torch.Generator
) -> tuple[Pilot | None, PathStates]:
    """Return the pilot and the final states of its population; None if the model is not reached.

    The model is not reached if that takes more than 2,000 steps of β, or more than the budget.

    Adaptive sequential Monte Carlo (Del Moral, Doucet and Jasra, 2012, Stat. Comput. 22, 1009): β rises until the
    effective sample size is nine tenths of the population, which is resampled and moved by two transitions. The step
    size follows the acceptance, log ε' = log ε + GAIN·(acceptance − target). β rises on one segment after the other.

    kernel: moves the population; its step size is found.
    chains: size of the population, at least 64.
    """
    first, *others = path.segments
    states = first.draw_base(max(chains, MIN_POPULATION), rng)
    climb = Climb(with_longest_step(kernel), path.budget)
    populations = [states.z]
    for number, segment in enumerate([first, *others]):
        if number:
            states = segment.evaluate(states.z)
        reached, states = climb.segment(segment, number, states, rng)
        if not reached:
            return None, states
        populations.append(states.z)
    betas = np.array(climb.lengths) / len(populations[1:])
    return Pilot(betas, np.array(climb.step_sizes), climb.kernel, tuple(populations)), states


class Climb:
    """The rise of a pilot's population from the base to the model.

    lengths: after each step, the number of segments below plus β on the present one. step_sizes: one per length.
    """

    def __init__(self, kernel: PathKernel, budget: Budget) -> None:
        self.kernel, self.max_step_size = kernel, step_size_of(kernel)
        self.budget, self.used_before = budget, budget.used
        self.lengths, self.step_sizes = [0.0], [self.max_step_size]

    def segment(
        self, path: CountedPath, number: int, states: PathStates, rng: torch.Generator
    ) -> tuple[bool, PathStates]:
        """Return whether the population has reached the upper end of a segment, and its states."""
        beta = 0.0
        while beta < 1:
            delta_u, gap = states.delta_u, 1 - beta
            rise = largest_rise(delta_u, gap)
            exhausted = self.budget.remaining == 0 and self.budget.used - self.used_before > MIN_EVALUATIONS
            if rise == 0 or len(self.lengths) > MAX_STEPS or exhausted:
                return False, states
            reached = beta + rise if rise < gap else 1.0
            states = states.select(resample((reached - beta) * delta_u[None], rng).flatten())
            beta = reached
            states = self.move(path, beta, states, rng)
            self.lengths.append(number + beta)
            self.step_sizes.append(step_size_of(self.kernel))
        return True, states

    def move(self, path: CountedPath, beta: float, states: PathStates, rng: torch.Generator) -> PathStates:
        """Move the population at β, and let the step size follow the acceptance."""
        for _ in range(TRANSITIONS):
            states, info = transition(path, self.kernel, beta, states, rng)
            factor = math.exp(GAIN * (float(info.accept.mean()) - self.kernel.best_acceptance))
            step_size = min(step_size_of(self.kernel) * factor, self.max_step_size)
            self.kernel = with_step_size(self.kernel, step_size)
        return states
