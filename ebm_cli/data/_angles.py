"""Angles: the numbers of a periodic state, each in [−π, π)."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

PERIOD = 2 * math.pi
SPACE = "periodic"


def wrap(x: Float[Tensor, "*shape"], period: Float[Tensor, "*event"] | float = PERIOD) -> Float[Tensor, "*shape"]:
    """Return the same angles in [−π, π), or from −½ to ½ of another period. Those that are there do not change."""
    half = torch.as_tensor(period, dtype=x.dtype, device=x.device) / 2
    turned = x - period * torch.floor((x + half) / period)
    # Rounding may give a number beyond either end.
    turned = torch.maximum(torch.where(turned >= half, -half, turned), -half)
    return torch.where((x >= -half) & (x < half), x, turned)


def uniform(n: int, event: tuple[int, ...], rng: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "n *event"]:
    """Return states of independent angles, each uniform on [−π, π)."""
    return PERIOD * torch.rand(n, *event, generator=rng, device=rng.device, dtype=dtype) - math.pi


def on_circles(x: Float[Tensor, "n *event"]) -> Float[Tensor, "n features"]:
    """Return the cosines of all angles, then their sines: a function of the angles has the period if it is of these."""
    x = x.flatten(1)
    return torch.cat([x.cos(), x.sin()], 1)


def cosines_and_sines(x: Float[np.ndarray, "*shape size"]) -> Float[np.ndarray, "*shape features"]:
    """Return the cosines of all angles along the last axis, then their sines."""
    return np.concatenate([np.cos(x), np.sin(x)], axis=-1)


def angles_of(features: Float[np.ndarray, "*shape features"]) -> Float[np.ndarray, "*shape size"]:
    """Return the directions of vectors whose first halves are cosines and second halves sines, or means of these."""
    cosines, sines = np.split(features, 2, axis=-1)
    return np.arctan2(sines, cosines)


def circular_std(x: Float[np.ndarray, "draw *shape"]) -> Float[np.ndarray, "*shape"]:
    """Return √(−2 log R) over draws, R the mean resultant length, but at most that of uniform angles, π/√3.

    It is the standard deviation of a narrow distribution (Mardia and Jupp, 2000, Directional statistics).
    """
    length = np.hypot(np.cos(x).mean(0), np.sin(x).mean(0))
    return np.minimum(np.sqrt(-2 * np.log(np.clip(length, 1e-300, 1.0))), math.pi / 3**0.5)
