"""AdamW: Adam with weight decay that does not enter the moments."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.optimizer import Rate, check_betas


@dataclass(frozen=True)
class AdamW(Rate):
    """Loshchilov and Hutter, 2019 (arXiv 1711.05101), algorithm 2.

    Single numbers, such as a trained log Z, do not decay: 0 is not a neutral value of them.

    betas: decays of the first and second moment (each in [0, 1)).
    weight_decay: decay of the weights per step, relative to the learning rate (≥ 0).
    """

    betas: list[float]
    weight_decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self.betas)
        check.non_negative("weight_decay", self.weight_decay)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas, all_parameters = (self.betas[0], self.betas[1]), list(parameters)
        numbers = [each for each in all_parameters if each.dim() == 0]
        groups: list[dict[str, Any]] = [{"params": [each for each in all_parameters if each.dim()]}]
        if numbers:
            groups.append({"params": numbers, "weight_decay": 0.0})
        return torch.optim.AdamW(groups, lr=self.lr, betas=betas, weight_decay=self.weight_decay)
