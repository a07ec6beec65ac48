"""Eight Gaussians on a circle: the smallest test for lost modes."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data._mixture_density import GaussiansData

RADIUS = 2.0


class Gaussians8(GaussiansData):
    """Equal Gaussians N(mₖ, noise²I), mₖ = 2·(cos kπ/4, sin kπ/4); labels are k. The modes merge near noise = 0.75."""

    n_modes = 8

    @staticmethod
    def mean(k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        angle = k.to(torch.get_default_dtype()) * (math.pi / 4)
        return RADIUS * torch.stack([angle.cos(), angle.sin()], 1)
