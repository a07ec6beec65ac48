"""A picture of lower resolution is known."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.condition._measured import Measured, require_picture


class Downsample(Measured):
    """y = means of x over blocks of factor × factor pixels + σξ with ξ standard normal: super-resolution.

    factor: side of a block in pixels (≥ 2); it divides the sides of the picture.
    sigma: σ in the units of x (> 0).
    """

    is_linear: ClassVar[bool] = True

    def __init__(self, factor: int, sigma: float) -> None:
        check.every(lambda: check.count("factor", factor, minimum=2), lambda: check.positive("sigma", sigma))
        super().__init__(sigma)
        self.factor = factor

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *shape"]:
        require_picture("downsample", x)
        if any(side % self.factor for side in x.shape[2:]):
            raise InputError(f"condition.factor must divide the sides {list(x.shape[2:])}, got {self.factor}")
        return F.avg_pool2d(x, self.factor)
