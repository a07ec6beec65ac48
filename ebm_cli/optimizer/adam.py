"""Adam."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ebm_cli.optimizer import Rate, check_betas


@dataclass(frozen=True)
class Adam(Rate):
    """Kingma and Ba, 2015 (arXiv 1412.6980), algorithm 1. Steps have a size of about lr at any scale of the gradient.

    betas: decays of the first and second moment (each in [0, 1)).
    """

    betas: list[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self.betas)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, betas=(self.betas[0], self.betas[1]))
