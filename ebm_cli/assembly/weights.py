"""Load the weights of a training run into its energy."""

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.run.checkpoint import energy_weights, misfit
from ebm_cli.run.folder import Run


def load_weights(energy: nn.Module, run: Run, checkpoint: str | int, weights: str) -> None:
    """Load a training run's weights into `energy`.

    weights: averaged (raw if the run kept no average) or raw.
    """
    check.one_of("weights", weights, ["averaged", "raw"])
    folder = run.checkpoint(checkpoint)
    tensors = energy_weights(folder, weights)
    problem = misfit(energy, tensors)
    if problem:
        raise InputError(f"energy does not fit the weights of {folder}: {problem}")
    energy.load_state_dict(tensors)
