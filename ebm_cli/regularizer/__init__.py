"""Regularizers: penalties added to an objective's loss. Every other file in this folder is one of them."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.objective import Outcome


@runtime_checkable
class Regularizer(Protocol):
    """A callable that gives its penalty, already times its own weight.

    One that acts on x_model says so by an attribute `needs_chains`, and is refused where there are none.
    """

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]: ...
