"""A user's module as what is observed of states."""

import pytest
import torch
from torch import nn

from ebm_cli.check import InputError
from ebm_cli.condition._measured import OwnOperator


class Crop(nn.Module):
    sigma = 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 1:3, 1:3]


class Sum(nn.Module):
    sigma = 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum()


def test_it_observes_with_its_noise() -> None:
    x, rng = torch.ones(1, 4, 4), torch.Generator().manual_seed(0)
    y = torch.stack([OwnOperator(Crop()).observe("row", x, rng).y for _ in range(500)])
    assert y.shape == (500, 1, 2, 2)
    assert abs(float(y.std()) - 0.1) < 4 * 0.1 / (2 * 2000) ** 0.5


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(InputError, match="forward must give one row of finite numbers per state"):
        OwnOperator(Sum()).observe("row", torch.ones(1, 4, 4), torch.Generator())
