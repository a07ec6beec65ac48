"""Adam."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ebm_cli.optimizer import Rate, moment_decays


@dataclass(frozen=True)
class Adam(Rate):
    """Kingma and Ba, 2015 (arXiv 1412.6980), algorithm 1: steps of about lr, whatever the gradient's scale.

    betas: decays of the first and second moment, each in [0, 1).
    """

    betas: list[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        moment_decays(self.betas)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, betas=(self.betas[0], self.betas[1]))
