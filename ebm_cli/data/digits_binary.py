"""Handwritten digits, 8×8, with pixels 0 and 1."""

from ebm_cli.data import digits
from ebm_cli.data._labeled_pictures import BinaryPictures


class DigitsBinary(BinaryPictures):
    """The 1,797 pictures of `data=digits`, binarized: event (1, 8, 8), x = 1 for ink.

    1,437 rows train and 360 are held out, the same pictures as of `data=digits`. Labels are the digits. With
    `threshold`, 47 pictures are equal to another one.

    binarize: threshold (x = 1 from half of white, level 8 of 16) or resample (P(x = 1) = level/16).
    """

    def __init__(self, binarize: str) -> None:
        super().__init__(digits.read_pictures(), binarize)
