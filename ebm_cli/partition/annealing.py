"""Annealed importance sampling: log weights of paths from the base to the model, and from the model to the base."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.pilot import Schedule
from ebm_cli.chain.transition import transition
from ebm_cli.path._annealing_path import PathStates
from ebm_cli.sampler._path_gibbs import reversal


def ais_forward(
    path: CountedPath, schedule: Schedule, n: int, rng: torch.Generator
) -> tuple[Float[Tensor, " n"], PathStates]:
    """Return log wᵢ = Σₖ (β_k − β_{k−1})·ΔU(z_{k−1}) and the final states; z_k is moved from z_{k−1} at β_k.

    Neal, 2001 (Stat. Comput. 11, 125). ⟨w⟩ is an unbiased estimate of Z, because the base is normalized.
    """
    states = path.draw_base(n, rng)
    log_w = torch.zeros_like(states.u, dtype=torch.float64)
    for k, kernel in enumerate(schedule.kernels, 1):
        log_w += (schedule.betas[k] - schedule.betas[k - 1]) * states.delta_u
        states, _ = transition(path, kernel, schedule.betas[k], states, rng)
    return log_w, states


def ais_reverse(
    path: CountedPath, schedule: Schedule, z: Float[Tensor, "n *d"], rng: torch.Generator
) -> Float[Tensor, " n"]:
    """Return the same sum along paths from draws z of the model to the base, with the reversal of every transition.

    Grosse, Ghahramani and Adams, 2015 (arXiv 1511.02543): ⟨1/w⟩ is an unbiased estimate of 1/Z.
    """
    states = path.evaluate(z)
    log_w = torch.zeros_like(states.u, dtype=torch.float64)
    for k in range(len(schedule.kernels), 0, -1):
        states, _ = transition(path, reversal(schedule.kernels[k - 1]), schedule.betas[k], states, rng)
        log_w += (schedule.betas[k] - schedule.betas[k - 1]) * states.delta_u
    return log_w
