"""Shapes of pictures, and states as pictures."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError


def as_pictures(x: Float[Tensor, "n channels height width"]) -> np.ndarray:
    """Return states in [−1, 1] as pictures (n, height, width) or (n, height, width, 3), clipped to [0, 1]."""
    levels = ((x + 1) / 2).clamp(0, 1).movedim(1, -1).cpu().numpy()
    return levels.squeeze(-1) if x.shape[1] == 1 else levels


def image_shape(name: str, event: tuple[int, ...]) -> tuple[int, int, int]:
    """Return `event` as (channels, height, width); raise InputError for any other shape."""
    if len(event) != 3:
        raise InputError(f"event must be (channels, height, width) for {name}, got {list(event)}; energy=mlp takes any")
    return event[0], event[1], event[2]
