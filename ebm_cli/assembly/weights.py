"""The weights of a training run, put into its energy."""

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.run.checkpoint import energy_weights, misfit
from ebm_cli.run.folder import Run


def load_weights(energy: nn.Module, run: Run, checkpoint: str | int, weights: str) -> None:
    """Put a training run's weights into `energy`: weights is averaged (raw where the run kept none) or raw."""
    check.one_of("weights", weights, ["averaged", "raw"])
    folder = run.checkpoint(checkpoint)
    tensors = energy_weights(folder, weights)
    problem = misfit(energy, tensors)
    if problem:
        raise InputError(f"energy does not fit the weights of {folder}: {problem}")
    energy.load_state_dict(tensors)
