"""Regularizers: penalties added to an objective's loss; one file per penalty."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.objective import Outcome


@runtime_checkable
class Regularizer(Protocol):
    """A callable that returns its penalty, already multiplied by its weight.

    A regularizer of x_model has an attribute `needs_chains`. It is refused for an objective without chains.
    """

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]: ...
