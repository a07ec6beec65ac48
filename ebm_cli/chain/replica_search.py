"""The places of replicas along a path from a density with exact draws, found by a pilot run."""

import dataclasses
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.anchor_choice import choose_anchors
from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import counted
from ebm_cli.chain.path_kernels import DISCRETE_PILOT_KERNEL, PathKernel, path_hmc
from ebm_cli.chain.pilot import MIN_POPULATION, REPLICA_SPACING, Ladder, run_pilot
from ebm_cli.data import DISCRETE
from ebm_cli.energy import frozen, space_of
from ebm_cli.path._base_distribution import BaseDistribution
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.run.machine import default_device
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import Tempering

# Largest population of the pilot, and the number of gradients that it may use.
MAX_POPULATION = 256
PILOT_BUDGET = 2_000_000
# Moves the pilot's population of continuous states if the user chose no kernel.
PILOT_KERNEL = path_hmc(1.0, 8)


@dataclass(frozen=True)
class FoundReplicas:
    """What a pilot run has found.

    sampler: replica exchange through the anchors that were chosen. ladder: the places of replicas on its path.
    x: final states of the population. base: describes the far end of the path.
    """

    sampler: Tempering
    ladder: Ladder
    x: Float[Tensor, "n *event"]
    base: str


def needs_search(sampler: Sampler) -> bool:
    """Return True if this is replica exchange along a path whose places of replicas are to be found."""
    return isinstance(sampler, Tempering) and isinstance(sampler.path, DrawnPath) and sampler.path.is_automatic


def find_replicas(
    sampler: Tempering,
    energy: nn.Module,
    chains: int,
    rng: torch.Generator,
    kernel: PathKernel | None = None,
    budget: int = PILOT_BUDGET,
) -> FoundReplicas | None:
    """Return replicas at equal parts of a pilot's path; None if annealing does not reach the model.

    If the path leads through other models that were not typed, the pilot chooses among them.

    chains: number of states to return.
    kernel: moves the pilot's population; its step size is found. None for HMC, or discrete Langevin.
    budget: number of gradients that the pilot may use.
    """
    given = cast(DrawnPath, sampler.path)
    if kernel is None:
        kernel = DISCRETE_PILOT_KERNEL if space_of(energy) in DISCRETE else PILOT_KERNEL
    path = given.with_candidates(energy)
    with frozen(energy), torch.no_grad(), default_device("cpu"):
        annealing = path.annealing_path(energy, sampler.temperature)
        charged = counted(annealing, Budget(budget))
        pilot, states = run_pilot(charged, kernel, min(max(chains, MIN_POPULATION), MAX_POPULATION), rng)
        if pilot is None:
            return None
        anchors = pilot.anchors if path is given else choose_anchors(annealing, pilot.populations)
        x = annealing.space.states(states.z[torch.arange(chains) % len(states.z)])
    sampler = dataclasses.replace(sampler, path=path.with_anchors(anchors), step_factors=None)
    return FoundReplicas(
        sampler, pilot.ladder_through(anchors, REPLICA_SPACING), x, cast(BaseDistribution, annealing.base).description
    )


def with_ladder(sampler: Tempering, ladder: Ladder, kernel: PathKernel | None = None) -> Tempering:
    """Return the sampler with the places and the steps of this ladder.

    kernel: moves the replicas, with the steps of the ladder; None for the ladder's own kernel.
    """
    path = cast(DrawnPath, sampler.path).with_betas(ladder.betas)
    moves = ladder.kernel if kernel is None else dataclasses.replace(kernel, step_size=ladder.step_sizes[0])
    return dataclasses.replace(sampler, path=path, kernel=moves, step_factors=ladder.step_factors)


def with_places(sampler: Tempering, ladder: Ladder) -> Tempering:
    """Return the sampler with the places of this ladder, and with its own kernel and steps."""
    path = cast(DrawnPath, sampler.path).with_betas(ladder.betas)
    return dataclasses.replace(sampler, path=path, step_factors=None)
