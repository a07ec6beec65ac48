"""AdamW: Adam with weight decay outside of the moments."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.optimizer import Rate, moment_decays


@dataclass(frozen=True)
class AdamW(Rate):
    """Loshchilov and Hutter, 2019 (arXiv 1711.05101), algorithm 2.

    betas: decays of the first and second moment, each in [0, 1). weight_decay: ≥ 0, times the rate, a step.
    """

    betas: list[float]
    weight_decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        moment_decays(self.betas)
        check.non_negative("weight_decay", self.weight_decay)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.betas[0], self.betas[1])
        return torch.optim.AdamW(parameters, lr=self.lr, betas=betas, weight_decay=self.weight_decay)
