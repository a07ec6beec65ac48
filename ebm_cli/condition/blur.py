"""A blurred picture is known."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.condition._measured import Measured, require_picture


class Blur(Measured):
    """y = k ∗ x + σξ with ξ standard normal and k a Gaussian of standard deviation `width`: deblurring.

    Pixels beyond the border repeat the border. k is cut at 3 widths and normalized.

    width: standard deviation of k in pixels (> 0).
    sigma: σ in the units of x (> 0).
    """

    is_linear: ClassVar[bool] = True

    def __init__(self, width: float, sigma: float) -> None:
        check.every(lambda: check.positive("width", width), lambda: check.positive("sigma", sigma))
        super().__init__(sigma)
        reach = math.ceil(3 * width)
        line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
        self.reach = reach
        self.register_buffer("line", line / line.sum(), persistent=False)

    line: Tensor

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        require_picture("blur", x)
        n, channels, height, width = x.shape
        line = self.line.to(x)
        wide = F.pad(x.reshape(n * channels, 1, height, width), (self.reach,) * 4, mode="replicate")
        across = F.conv2d(F.conv2d(wide, line[None, None, None]), line[None, None, :, None])
        return across.view(n, channels, height, width)
