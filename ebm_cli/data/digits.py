"""Handwritten digits, 8×8: real images that ship inside scikit-learn."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Rows, pictures

HELD_OUT = 360


class Digits(Rows):
    """1,797 images of 8×8 grey values 0…16, scaled to [−1, 1], plus dequantisation noise N(0, noise²I).

    Alpaydin and Kaynak's test set (UCI, 1998) as scikit-learn carries it. 1,437 rows train, 360 are held out,
    stratified by class and the same in every run; labels are the digit.

    noise: σ ≥ 0 in the scaled units, where one grey level is 0.125.
    """

    def __init__(self, noise: float) -> None:
        check.non_negative("noise", noise)
        images, labels = load_digits(return_X_y=True)
        parts: list[Any] = train_test_split(
            np.asarray(images) / 8 - 1, labels, test_size=HELD_OUT, stratify=labels, random_state=0
        )
        train_x, held_x, train_y, held_y = parts
        super().__init__(_rows(train_x, train_y), _rows(held_x, held_y), noise)

    def decode(self, x: Float[Tensor, "n 1 8 8"]) -> np.ndarray:
        return pictures(x)


def _rows(images: np.ndarray, labels: np.ndarray) -> Batch:
    x = torch.tensor(images, dtype=torch.get_default_dtype()).view(-1, 1, 8, 8)
    return Batch(x, clean=x, y=torch.tensor(labels))
