"""Sequential Monte Carlo: paths from the base to the model that are resampled when their weights become uneven."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.pilot import Schedule
from ebm_cli.chain.transition import transition
from ebm_cli.path._annealing_path import PathStates
from ebm_cli.path._schedule import effective_sample_size, resample

# A group is resampled if its effective fraction is below this.
RESAMPLE_BELOW = 0.5
MIN_GROUP_SIZE, MIN_GROUPS, MAX_GROUPS = 8, 4, 16


def group_sizes(n: int) -> tuple[int, int]:
    """Return the number of groups of n particles, 4 to 16, if possible of 8 or more, and the size of each."""
    groups = max(MIN_GROUPS, min(MAX_GROUPS, n // MIN_GROUP_SIZE))
    return groups, n // groups


def smc(
    path: CountedPath, schedule: Schedule, groups: int, size: int, rng: torch.Generator
) -> tuple[Float[Tensor, " groups"], PathStates]:
    """Return log Z by each group of particles, and the final states after one more resampling.

    Del Moral, Doucet and Jasra, 2006 (J. R. Stat. Soc. B 68, 411): log Z = Σ log ⟨w⟩ over resamplings, w the weights
    since the previous one; unbiased for Z at fixed temperatures. Groups never exchange particles, so they are
    independent and their standard deviation gives an error.
    """
    states = path.draw_base(groups * size, rng)
    log_w = torch.zeros(groups, size, dtype=torch.float64, device=states.z.device)
    log_z, rows = log_w.new_zeros(groups), torch.arange(groups * size, device=log_w.device).view(groups, size)
    for k, kernel in enumerate(schedule.kernels, 1):
        log_w = log_w + (schedule.betas[k] - schedule.betas[k - 1]) * states.delta_u.view(groups, size)
        uneven = effective_sample_size(log_w) < RESAMPLE_BELOW * size
        log_z = log_z + torch.where(uneven, log_w.logsumexp(1) - math.log(size), 0.0)
        chosen = torch.where(uneven[:, None], rows[:, :1] + resample(log_w.nan_to_num(), rng), rows)
        log_w = torch.where(uneven[:, None], 0.0, log_w)
        states, _ = transition(path, kernel, schedule.betas[k], states.select(chosen.flatten()), rng)
    last = rows[:, :1] + resample(log_w.nan_to_num(), rng)
    return log_z + log_w.logsumexp(1) - math.log(size), states.select(last.flatten())
