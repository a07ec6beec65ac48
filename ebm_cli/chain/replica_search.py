"""The places of replicas along a path from a density with exact draws, found by a pilot run."""

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.pilot import (
    MIN_POPULATION,
    REPLICA_SPACING,
    Ladder,
    PathKernel,
    path_hmc,
    run_pilot,
)
from ebm_cli.energy import frozen
from ebm_cli.path.base import BasePath
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import Tempering

# Largest population of the pilot, and the number of gradients that it may use.
MAX_POPULATION = 256
PILOT_BUDGET = 2_000_000
# Moves the pilot's population if the user chose no kernel.
PILOT_KERNEL = path_hmc(1.0, 8)


@dataclass(frozen=True)
class FoundReplicas:
    """ladder: of the pilot. x: final states of its population. base: describes the far end of the path."""

    ladder: Ladder
    x: Float[Tensor, "n *event"]
    base: str


def needs_search(sampler: Sampler) -> bool:
    """Return True if this is replica exchange along a path whose places of replicas are to be found."""
    return isinstance(sampler, Tempering) and isinstance(sampler.path, BasePath) and sampler.path.is_automatic


def find_replicas(
    sampler: Tempering,
    energy: nn.Module,
    chains: int,
    rng: torch.Generator,
    kernel: PathKernel = PILOT_KERNEL,
    budget: int = PILOT_BUDGET,
) -> FoundReplicas | None:
    """Return replicas at equal parts of a pilot's path; None if annealing does not reach the model.

    chains: number of states to return.
    kernel: moves the pilot's population; its step size is found.
    budget: number of gradients that the pilot may use.
    """
    with frozen(energy), torch.no_grad(), torch.device("cpu"):
        annealing = sampler.path.annealing_path(energy, sampler.temperature)
        counted = CountedPath(cast(Any, annealing.space), annealing.base, Budget(budget))
        pilot, states = run_pilot(counted, kernel, min(max(chains, MIN_POPULATION), MAX_POPULATION), rng)
    if pilot is None:
        return None
    x = annealing.space.states(states.z[torch.arange(chains) % len(states.z)])
    return FoundReplicas(pilot.ladder(pilot.replicas(REPLICA_SPACING)), x, annealing.base.description)


def with_ladder(sampler: Tempering, ladder: Ladder, kernel: PathKernel | None = None) -> Tempering:
    """Return the sampler with the places and the steps of this ladder.

    kernel: moves the replicas, with the steps of the ladder; None for the ladder's own kernel.
    """
    path = cast(BasePath, sampler.path).with_betas(ladder.betas)
    moves = ladder.kernel if kernel is None else dataclasses.replace(kernel, step_size=ladder.step_sizes[0])
    return dataclasses.replace(sampler, path=path, kernel=moves, step_factors=ladder.step_factors)


def with_places(sampler: Tempering, ladder: Ladder) -> Tempering:
    """Return the sampler with the places of this ladder, and with its own kernel and steps."""
    path = cast(BasePath, sampler.path).with_betas(ladder.betas)
    return dataclasses.replace(sampler, path=path, step_factors=None)
