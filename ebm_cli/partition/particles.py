"""Sequential Monte Carlo: paths to the model whose weights are evened out on the way, by resampling."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.partition.path import Seen, Way, moved
from ebm_cli.partition.pilot import Schedule, resampled

# A group resamples where its weights count as less than this share of it.
RESAMPLE = 0.5
SMALLEST, FEWEST_GROUPS, MOST_GROUPS = 8, 4, 16


def groups_of(n: int) -> tuple[int, int]:
    """The number of groups that so many particles go in, 4 to 16 and where it can be of 8 or more, and of each."""
    groups = max(FEWEST_GROUPS, min(MOST_GROUPS, n // SMALLEST))
    return groups, n // groups


def particles(
    way: Way, schedule: Schedule, groups: int, each: int, rng: torch.Generator
) -> tuple[Float[Tensor, " groups"], Seen]:
    """log Z of each group of particles, and where they all end, evened out once more.

    Del Moral, Doucet and Jasra, 2006 (J. R. Stat. Soc. B 68, 411): log Z = Σ log ⟨w⟩ between resamplings, w the weights
    since the one before, at frozen temperatures unbiased for Z. Groups never exchange particles, so that they are
    independent and their spread is an error.
    """
    seen = way.begin(groups * each, rng)
    log_w = torch.zeros(groups, each, dtype=torch.float64, device=seen.z.device)
    log_z, own = log_w.new_zeros(groups), torch.arange(groups * each, device=log_w.device).view(groups, each)
    for k, kernel in enumerate(schedule.kernels, 1):
        log_w = log_w + (schedule.betas[k] - schedule.betas[k - 1]) * seen.drive.view(groups, each)
        ess = torch.exp(2 * log_w.logsumexp(1) - (2 * log_w).logsumexp(1))
        uneven = ess < RESAMPLE * each
        log_z = log_z + torch.where(uneven, log_w.logsumexp(1) - math.log(each), 0.0)
        chosen = torch.where(uneven[:, None], own[:, :1] + resampled(log_w.nan_to_num(), rng), own)
        log_w = torch.where(uneven[:, None], 0.0, log_w)
        seen = moved(way, kernel, schedule.betas[k], seen.rows(chosen.flatten()), rng)
    last = own[:, :1] + resampled(log_w.nan_to_num(), rng)
    return log_z + log_w.logsumexp(1) - math.log(each), seen.rows(last.flatten())
