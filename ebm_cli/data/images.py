"""A folder of the user's own pictures."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord
from ebm_cli.data._file_contents import Contents
from ebm_cli.data._files import join_names
from ebm_cli.data._picture_folder import read_folder
from ebm_cli.data._pictures import as_pictures
from ebm_cli.data._user_file import TrainingRows, UserFile

# Gray levels per unit of a state in [−1, 1].
LEVELS = 127.5


class Images(UserFile):
    """All pictures under a folder, cut to one shape and scaled to [−1, 1], plus dequantization noise N(0, noise²I).

    A picture is rotated by its EXIF data, placed on white if it is transparent, cropped to its center with the aspect
    ratio, and resized. Only the first of several frames is used. Hidden files, files without the suffix of a picture,
    and files in the folder of a run or a sweep below `path` are left out.

    path: the folder.
    size: pixels per side (≥ 2), or [height, width].
    channels: 1 for gray, 3 for color.
    holdout_fraction: fraction of the pictures that is held out (in (0, 1)).
    noise: σ in the scaled units (≥ 0); a gray level of 255 is 0.0078.
    seed: seed of the split. The split depends on the names of the pictures in alphabetical order.
    record: record of an earlier run.

    Raises InputError for a picture that cannot be read.
    """

    row_name = "file"
    unit = "gray levels 0…255"

    def __init__(
        self,
        path: str | int,
        size: int | list[int],
        channels: int,
        holdout_fraction: float,
        noise: float,
        seed: int,
        record: DataRecord | None,
    ) -> None:
        height, width = height_and_width(size)
        if channels not in (1, 3):
            raise InputError(f"channels must be 1 (gray) or 3 (color), got {channels}")
        self._shape = (channels, height, width)
        # YAML gives the name of a folder called 2024 as a number.
        super().__init__(
            str(path), holdout_fraction, noise, seed, record, {"size": [height, width], "channels": channels}
        )

    @property
    def log_unit(self) -> float:
        return math.prod(self._shape) * math.log(LEVELS)

    def decode(self, x: Float[Tensor, "n channels height width"]) -> np.ndarray:
        return as_pictures(x)

    def encode(self, numbers: UInt8[np.ndarray, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        return torch.tensor(numbers, dtype=torch.get_default_dtype()).div_(LEVELS).sub_(1)

    def learn(self, path: str, _training: TrainingRows) -> tuple[dict[str, Any], Contents]:
        names, pixels, sizes = read_folder(path, self._shape)
        if len(names) < 2:
            raise InputError(f"path={path} must hold at least 2 pictures, got {len(names)}")
        values = {"shape": list(self._shape), "range": [-1.0, 1.0], "sizes": sorted(set(sizes))}
        return values, folder_contents(names, pixels, [])

    def read(self, path: str, values: dict[str, Any], _labeled: bool) -> Contents:
        names, pixels, sizes = read_folder(path, self._shape)
        if not names:
            raise InputError(f"path={path} holds no pictures")
        new = sorted(set(sizes) - {tuple(size) for size in values["sizes"]})
        if not new:
            return folder_contents(names, pixels, [])
        count = sum(size in new for size in sizes)
        note = (
            f"path={path} has {count} pictures of sizes that were not in the training set "
            f"({join_names([f'{width}×{height}' for width, height in new], 3)} pixels): they are cropped and resized "
            f"to {self._shape[2]}×{self._shape[1]} like all others"
        )
        return folder_contents(names, pixels, [note])


def folder_contents(
    names: list[str], pixels: UInt8[np.ndarray, "n channels height width"], notes: list[str]
) -> Contents:
    """Return pictures as the contents of a folder."""
    import pandas as pd

    return Contents(pixels, None, names, np.ones(len(names), dtype=bool), pd.DataFrame({"file": names}), notes)


def height_and_width(size: int | list[int]) -> tuple[int, int]:
    """Return height and width from one number or both."""
    both = size if isinstance(size, list) else [size, size]
    if len(both) != 2:
        raise InputError(f"size must be one number or [height, width], got {size}")
    for side in both:
        check.count("size", side, minimum=2)
    return both[0], both[1]
