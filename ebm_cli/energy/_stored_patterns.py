"""The patterns that an associative memory stores: the training rows of the data."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Data


def stored_patterns(data: Data | None, event: tuple[int, ...] | None) -> Float[Tensor, "patterns *event"]:
    """Return the training rows, on the CPU in double precision. Raises InputError without data of this shape."""
    if data is None:
        raise InputError("data must be chosen for an energy that stores its rows, such as data=patterns")
    x = data.split("train").x
    if event is not None and tuple(x.shape[1:]) != tuple(event):
        raise InputError(f"event is {list(event)}, but the rows of data that are stored have shape {list(x.shape[1:])}")
    return x.detach().to("cpu", torch.float64)
