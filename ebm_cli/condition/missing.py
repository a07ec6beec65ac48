"""Random coordinates are unknown: a test of how well a model fills in what is missing."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.condition._known_part import Known


class Missing(Known):
    """Every coordinate is unknown with the same probability, independently, and at least one is.

    fraction: the probability (in (0, 1)).
    """

    def __init__(self, fraction: float) -> None:
        check.open_interval("fraction", fraction)
        self.fraction = fraction

    def known(self, x: Float[Tensor, "*event"], rng: torch.Generator) -> Bool[Tensor, "*event"]:
        number = torch.rand(x.shape, generator=rng, device=rng.device)
        return (number >= self.fraction) & (number > number.min())
