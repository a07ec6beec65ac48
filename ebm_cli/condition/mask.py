"""The coordinates of a mask are known."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.condition._known_part import Known
from ebm_cli.data._files import saved_array


class Mask(Known):
    """The coordinates where a mask is true are known, and the others are drawn.

    path: .npy file of booleans, or of zeros and ones, with the shape of a state; or (height, width) for the pixels of
        pictures, or one value per site of categories.
    """

    def __init__(self, path: str) -> None:
        self.path, self.mask = str(path), read_mask(str(path))

    def known(self, x: Float[Tensor, "*event"], rng: torch.Generator) -> Bool[Tensor, "*event"]:  # noqa: ARG002
        event, shape = tuple(x.shape), tuple(self.mask.shape)
        if shape == event:
            return self.mask
        if len(event) > 1 and shape in (event[1:], event[:-1]):
            return (self.mask[None] if shape == event[1:] else self.mask[..., None]).expand(event)
        raise InputError(f"condition.path={self.path} must have the shape {list(event)} of a state, got {list(shape)}")


def read_mask(path: str) -> Tensor:
    """Return the mask in a .npy file. Raises InputError unless it has booleans, or zeros and ones."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise InputError(f"path={path} is not a file. A mask is a .npy file, true where coordinates are known")
    mask = saved_array(f"path={path}", found)
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise InputError(f"path={path} must contain booleans, or zeros and ones")
    return torch.as_tensor(mask.astype(bool))
