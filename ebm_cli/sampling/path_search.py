"""The places of replicas along a path from a density with exact draws, found by a pilot run."""

import dataclasses
import math
from typing import Any, cast

import torch
from torch import Tensor

from ebm_cli import rng
from ebm_cli.assembly.components import Parts
from ebm_cli.data import Batch
from ebm_cli.energy import frozen
from ebm_cli.partition.budget import Budget
from ebm_cli.partition.counted_path import CountedPath
from ebm_cli.partition.log_z_search import REPLICA_SPACING
from ebm_cli.partition.pilot import MIN_POPULATION, run_pilot
from ebm_cli.partition.reference_states import explore
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.path._coordinates import Integrand
from ebm_cli.path.base import BasePath
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import Tempering

# Largest population of the pilot, and the number of gradients that it may use.
MAX_POPULATION = 256
PILOT_BUDGET = 2_000_000


def needs_search(sampler: Sampler) -> bool:
    """Return True if this is replica exchange along a path whose places of replicas are to be found."""
    return isinstance(sampler, Tempering) and isinstance(sampler.path, BasePath) and sampler.path.is_automatic


def find_replicas(parts: Parts, seed: int, chains: int, own_kernel: bool) -> tuple[Tempering, Tensor, str] | None:
    """Return replica exchange with replicas at equal parts of a pilot's path, the pilot's last states, and the base.

    None if annealing does not reach the model.

    chains: number of states to return.
    own_kernel: True to keep the sampler's kernel, otherwise HMC with a trajectory length that the pilot finds.
    """
    sampler = cast(Tempering, parts.sampler)
    path = cast(BasePath, sampler.path)
    here = parts.machine.device
    if path.data is None:
        explored = explore(Integrand(parts.energy, sampler.temperature, parts.event, None, seed))
        path = dataclasses.replace(path, data=Batch(explored))
    with frozen(parts.energy), torch.no_grad(), torch.device("cpu"):
        annealing = path.annealing_path(parts.energy, sampler.temperature)
        counted = CountedPath(cast(Any, annealing.space), annealing.base, Budget(PILOT_BUDGET))
        settings = dataclasses.replace(DEFAULT_SETTINGS, chains=min(max(chains, MIN_POPULATION), MAX_POPULATION))
        pilot, states = run_pilot(counted, settings, rng.generator(seed, "pilot", here))
    if pilot is None:
        return None
    ladder = pilot.ladder(max(3, math.ceil(len(pilot.betas) / REPLICA_SPACING) + 1))
    kernel, factors = (sampler.kernel, None) if own_kernel else (ladder.kernel, ladder.step_factors)
    found = dataclasses.replace(sampler, path=path.with_betas(ladder.betas), kernel=kernel, step_factors=factors)
    x = annealing.space.states(states.z[torch.arange(chains) % len(states.z)])
    return found, x, annealing.base.description
