"""One side of a picture is known."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.condition._known_part import Known
from ebm_cli.data import is_image


class Side(Known):
    """Base of conditions in which the pixels of one side of a picture are known, and the others are drawn: inpainting.

    side: the known side, left, right, top or bottom.
    fraction: fraction of the columns or rows that is known, rounded to whole ones (in (0, 1)).
    """

    def __init__(self, side: str, fraction: float) -> None:
        check.open_interval("fraction", fraction)
        self.side, self.fraction = side, fraction

    def known(self, x: Float[Tensor, "*event"], rng: torch.Generator) -> Bool[Tensor, "*event"]:  # noqa: ARG002
        if not is_image(tuple(x.shape)):
            raise InputError(f"condition={self.side} needs pictures, but states have shape {list(x.shape)}")
        horizontal = self.side in ("left", "right")
        length = x.shape[2] if horizontal else x.shape[1]
        count = min(max(round(self.fraction * length), 1), length - 1)
        place = torch.arange(length)
        line = place < count if self.side in ("left", "top") else place >= length - count
        return (line if horizontal else line[:, None]).expand(x.shape)
