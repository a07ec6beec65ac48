"""Shipped sets of labeled gray pictures, with gray levels or binarized."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from sklearn.model_selection import train_test_split
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._pictures import as_pictures
from ebm_cli.rng import generator

THRESHOLD, RESAMPLE = "threshold", "resample"
# How pixels are binarized.
NOTES = {
    THRESHOLD: "data: pixels are 1 where the gray level is at least half of white",
    RESAMPLE: "data: pixels are drawn again for each batch, 1 with the probability of their gray level; the rows of "
    "a split are drawn once",
}


class GrayLevels(NamedTuple):
    """Flattened square pictures in their own gray levels, 0…white, and their labels.

    held_out: number of pictures to hold out.
    """

    levels: np.ndarray
    labels: np.ndarray
    white: float
    held_out: int


def split_pictures(pixels: np.ndarray, pictures: GrayLevels) -> tuple[Batch, Batch]:
    """Return training and held-out pictures with these pixels; the split is by class and the same in every run."""
    side = round(pixels.shape[1] ** 0.5)
    splits: list[Any] = train_test_split(
        pixels, pictures.labels, test_size=pictures.held_out, stratify=pictures.labels, random_state=0
    )

    def batch(pixels: np.ndarray, labels: np.ndarray) -> Batch:
        x = torch.tensor(pixels, dtype=torch.get_default_dtype()).view(-1, 1, side, side)
        return Batch(x, clean=x, y=torch.tensor(labels))

    return batch(splits[0], splits[2]), batch(splits[1], splits[3])


class LabeledPictures(FiniteData):
    """Base of the shipped sets of square gray pictures, scaled to [−1, 1], plus dequantization noise N(0, noise²I).

    The split is stratified by class and the same in every run.

    noise: σ in the scaled units (≥ 0).
    """

    def __init__(self, pictures: GrayLevels, noise: float) -> None:
        check.non_negative("noise", noise)
        super().__init__(*split_pictures(pictures.levels / (pictures.white / 2) - 1, pictures), noise)

    def decode(self, x: Float[Tensor, "n 1 side side"]) -> np.ndarray:
        return as_pictures(x)


class BinaryPictures(FiniteData):
    """Base of the shipped sets of binarized pictures: x is 0 or 1. The split is that of the gray pictures.

    With `threshold`, x = 1 where the gray level is at least half of white. With `resample`, P(x = 1) is the gray level
    in units of white (Salakhutdinov and Murray, 2008, section 5): `sample` draws pixels again at each call, and `split`
    returns rows that are drawn once and are the same in every run.

    binarize: threshold or resample.
    """

    space = "binary"

    def __init__(self, pictures: GrayLevels, binarize: str) -> None:
        check.one_of("binarize", binarize, [THRESHOLD, RESAMPLE])
        gray = split_pictures(pictures.levels / pictures.white, pictures)
        self.notes = [NOTES[binarize]]
        self._gray = gray[0].x if binarize == RESAMPLE else None
        train, held_out = (drawn_once(each.x) if binarize == RESAMPLE else (each.x >= 0.5).to(each.x) for each in gray)
        super().__init__(gray[0]._replace(x=train, clean=train), gray[1]._replace(x=held_out, clean=held_out), 0.0)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        if self._gray is None:
            return super().sample(n, rng)
        rows = torch.randint(len(self._gray), (n,), generator=rng, device=rng.device)
        x = torch.bernoulli(self._gray[rows], generator=rng)
        return self.split("train").select(rows)._replace(x=x, clean=x)

    def redraw(self, rng: torch.Generator) -> Float[Tensor, "n 1 side side"] | None:
        return None if self._gray is None else torch.bernoulli(self._gray, generator=rng)

    def decode(self, x: Float[Tensor, "n 1 side side"]) -> np.ndarray:
        return as_pictures(2 * x - 1)


def drawn_once(gray: Float[Tensor, "n 1 side side"]) -> Float[Tensor, "n 1 side side"]:
    """Return pixels that are 1 with the probability of their gray level, the same at every call."""
    return torch.bernoulli(gray.cpu(), generator=generator(0, "data/binarize", "cpu")).to(gray)
