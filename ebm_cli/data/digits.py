"""Handwritten digits, 8×8: real pictures that ship with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits

from ebm_cli.data._labeled_pictures import GrayLevels, LabeledPictures


def read_pictures() -> GrayLevels:
    """Return the 1,797 pictures, of which 360 are to be held out."""
    levels, labels = load_digits(return_X_y=True)
    return GrayLevels(np.asarray(levels), np.asarray(labels), white=16.0, held_out=360)


class Digits(LabeledPictures):
    """1,797 pictures of 8×8 gray levels 0…16, scaled to [−1, 1], plus dequantization noise N(0, noise²I).

    The test set of Alpaydin and Kaynak (UCI, 1998) from scikit-learn. 1,437 rows train and 360 are held out, stratified
    by class and the same in every run. Labels are the digits.

    noise: σ in the scaled units (≥ 0); one gray level is 0.125.
    """

    def __init__(self, noise: float) -> None:
        super().__init__(read_pictures(), noise)
