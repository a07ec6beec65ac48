"""A search for modes that chains along a path from exact draws have missed, which round trips cannot show."""

import dataclasses

import torch
from torch import nn

from ebm_cli import rng
from ebm_cli.chain.chains import evenly_spaced
from ebm_cli.chain.loop import Trajectory
from ebm_cli.energy import CONTINUOUS, frozen, space_of
from ebm_cli.estimate import refused
from ebm_cli.mixing.verdict import MixingResult
from ebm_cli.partition.mode_search import search_missed_modes, search_points
from ebm_cli.sampler.tempering import has_exact_draws

# Draws per chain with which minima are compared.
MAX_DRAWS = 200


def with_mode_search(mixing: MixingResult, trajectory: Trajectory, energy: nn.Module, seed: int) -> MixingResult:
    """Return the verdict after a search for modes; refused if one holds mass that no chain has been near.

    All states of a path come from its base. If the base does not reach a mode, chains agree without it. Chains of other
    samplers have probes, which start farther out, and nothing changes for them. Nor does it for discrete states and for
    angles, whose probes start at uniform states.
    """
    sampler = trajectory.sampler
    if not has_exact_draws(sampler) or mixing.estimate.verdict == "refused" or len(trajectory.x) < 2:
        return mixing
    if space_of(energy) not in CONTINUOUS:
        return mixing
    path = sampler.path.annealing_path(energy, sampler.temperature)
    x = trajectory.x[evenly_spaced(len(trajectory.x), MAX_DRAWS)]
    z = path.space.coordinates(x.flatten(0, 1)).view(*x.shape[:2], -1).transpose(0, 1)
    with frozen(energy), torch.no_grad():
        generator = rng.generator(seed, "modes", z.device)
        found = search_missed_modes(path.energy_at(1.0), z, search_points(None), generator, lambda _: None)
    if found.missed:
        return dataclasses.replace(mixing, estimate=refused(f"not mixed: {found.missed}"))
    if mixing.estimate.verdict == "caution":
        return mixing
    estimate = dataclasses.replace(mixing.estimate, reasons=(*mixing.estimate.reasons, found.region))
    return dataclasses.replace(mixing, estimate=estimate)
