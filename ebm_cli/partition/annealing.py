"""Annealed importance sampling: weights of paths from the base to the model, and of paths back."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.partition.path import Seen, Way, moved
from ebm_cli.partition.pilot import Schedule


def forward(way: Way, schedule: Schedule, n: int, rng: torch.Generator) -> tuple[Float[Tensor, " n"], Seen]:
    """log wᵢ = Σₖ (β_k − β_{k−1})·drive(z_{k−1}), z_k moved from z_{k−1} at β_k; and where the paths end.

    Neal, 2001 (Stat. Comput. 11, 125). ⟨w⟩ is an unbiased estimate of Z, as the base is normalised.
    """
    seen = way.begin(n, rng)
    log_w = torch.zeros_like(seen.u, dtype=torch.float64)
    for k, kernel in enumerate(schedule.kernels, 1):
        log_w += (schedule.betas[k] - schedule.betas[k - 1]) * seen.drive
        seen = moved(way, kernel, schedule.betas[k], seen, rng)
    return log_w, seen


def reverse(way: Way, schedule: Schedule, z: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, " n"]:
    """The same sum along paths back from draws z of the model, each transition its own reversal.

    Grosse, Ghahramani and Adams, 2015 (arXiv 1511.02543): ⟨1/w⟩ is an unbiased estimate of 1/Z.
    """
    seen = way.look(z)
    log_w = torch.zeros_like(seen.u, dtype=torch.float64)
    for k in range(len(schedule.kernels), 0, -1):
        seen = moved(way, schedule.kernels[k - 1], schedule.betas[k], seen, rng)
        log_w += (schedule.betas[k] - schedule.betas[k - 1]) * seen.drive
    return log_w
