"""Shipped sets of labeled gray pictures."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.model_selection import train_test_split
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._pictures import as_pictures


class LabeledPictures(FiniteData):
    """Base of the shipped sets of square gray pictures, scaled to [−1, 1], plus dequantization noise N(0, noise²I).

    The split is stratified by class and the same in every run.

    pixels: flattened pictures, in [−1, 1].
    held_out: number of held-out pictures.
    noise: σ in the scaled units (≥ 0).
    """

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, held_out: int, noise: float) -> None:
        check.non_negative("noise", noise)
        side = round(pixels.shape[1] ** 0.5)
        splits: list[Any] = train_test_split(pixels, labels, test_size=held_out, stratify=labels, random_state=0)

        def batch(pixels: np.ndarray, labels: np.ndarray) -> Batch:
            x = torch.tensor(pixels, dtype=torch.get_default_dtype()).view(-1, 1, side, side)
            return Batch(x, clean=x, y=torch.tensor(labels))

        super().__init__(batch(splits[0], splits[2]), batch(splits[1], splits[3]), noise)

    def decode(self, x: Float[Tensor, "n 1 side side"]) -> np.ndarray:
        return as_pictures(x)
