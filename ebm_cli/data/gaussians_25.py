"""Twenty-five Gaussians on a grid: many modes at equal distances."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data._mixture_density import GaussiansData

SIDE = 5


class Gaussians25(GaussiansData):
    """Equal Gaussians N(mₖ, noise²I), mₖ = (⌊k/5⌋ − 2, k mod 5 − 2); labels are k. The modes merge near noise = 0.5."""

    n_modes = SIDE**2

    @staticmethod
    def mean(k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        cell = torch.stack([k // SIDE, k % SIDE], 1)
        return cell.to(torch.get_default_dtype()) - SIDE // 2
