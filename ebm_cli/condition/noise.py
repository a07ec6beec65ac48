"""A state is known with Gaussian noise."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ebm_cli.condition._measured import Measured


class Noise(Measured):
    """y = x + σξ with ξ standard normal: the states from which noise made an observation (denoising).

    sigma: σ in the units of x (> 0).
    """

    is_linear: ClassVar[bool] = True

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        return x
