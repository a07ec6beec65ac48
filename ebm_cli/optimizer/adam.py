"""Adam."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.optimizer import Rate


@dataclass(frozen=True)
class Adam(Rate):
    """Kingma and Ba, 2015 (arXiv 1412.6980), algorithm 1: steps of about lr, whatever the gradient's scale.

    betas: decays of the first and second moment, each in [0, 1).
    """

    betas: list[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.betas, list) or len(self.betas) != 2:
            raise check.InputError(f"betas must be two numbers, got {self.betas}")
        for beta in self.betas:
            check.half_open("betas", beta)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, betas=(self.betas[0], self.betas[1]))
