"""Handwritten digits, 28×28, with pixels 0 and 1."""

from ebm_cli.data import mnist
from ebm_cli.data._labeled_pictures import BinaryPictures


class MNISTBinary(BinaryPictures):
    """The 5,000 pictures of `data=mnist`, binarized: event (1, 28, 28), x = 1 for ink.

    4,000 rows train and 1,000 are held out, the same pictures as of `data=mnist`. Labels are the digits.

    binarize: threshold (x = 1 from half of white, level 128 of 255) or resample (P(x = 1) = level/255).
    """

    def __init__(self, binarize: str) -> None:
        super().__init__(mnist.read_pictures(), binarize)
