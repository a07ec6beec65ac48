"""Stochastic gradient descent with momentum."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.optimizer import Rate


@dataclass(frozen=True)
class SGD(Rate):
    """b' = momentum·b + ∇L, θ' = θ − lr·b' (torch's form; Robbins and Monro, 1951, at momentum 0).

    momentum: fraction of the last step that is kept (in [0, 1)).
    """

    momentum: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check.half_open("momentum", self.momentum)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)
