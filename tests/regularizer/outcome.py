"""Outcomes of an objective, made by hand for the tests of regularizers."""

import torch
from torch import Tensor, nn

from ebm_cli.objective import Outcome


def outcome(energy: nn.Module, x_data: Tensor, x_model: Tensor | None = None) -> Outcome:
    """What an objective would hand on after the given data and chains."""
    e_model = None if x_model is None else energy(x_model)
    return Outcome(torch.zeros(()), x_data, energy(x_data), x_model, e_model)
