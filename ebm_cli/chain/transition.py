"""One transition of a sampler at a temperature of the path."""

import torch

from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.path._annealing_path import PathStates
from ebm_cli.sampler import Info, Sampler, State


def transition(
    path: CountedPath, kernel: Sampler, beta: float, states: PathStates, rng: torch.Generator
) -> tuple[PathStates, Info]:
    """Move every chain once at β. The known energies are used, so that the model is evaluated for the move only."""
    state, info = kernel.step(path.energy_at(beta), State(states.z, *states.energy_and_grad(beta)), rng)
    return path.from_tempered(state.x, state.energy, state.grad, beta), info
