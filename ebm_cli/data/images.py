"""A folder of the user's own pictures."""

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord, listed, own_path, pictures
from ebm_cli.data._user_file import Contents, Training, UserFile
from ebm_cli.run.folder import is_of_ebm

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    # Pillow's readers take a while to import, so they wait for pictures to read.
    Image = Any

# Gray levels per unit of a state in [−1, 1].
LEVELS = 127.5
# Formats that Pillow only knows the name of, or has another program draw.
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Images(UserFile):
    """All pictures under a folder, cut to one shape and scaled to [−1, 1], plus dequantisation noise N(0, noise²I).

    Each is turned as its EXIF says, laid over white where it is transparent, cropped in the middle to the shape's
    aspect and resized; of several frames the first is taken. Hidden files, those whose suffix is no picture's, and
    those in a run's or a sweep's folder below `path` are left out.

    path: the folder. size: pixels a side ≥ 2, or [height, width]. channels: 1 gray, 3 color. held_out: fraction of
    the pictures in (0, 1). noise: σ ≥ 0 in the scaled units, where one of 255 gray levels is 0.0078. seed: of the
    split, which goes by the pictures' names in alphabetical order. record: of an earlier run. Raises InputError for a
    picture that cannot be read.
    """

    row_name = "file"
    unit = "gray levels 0…255"

    def __init__(
        self,
        path: str | int,
        size: int | list[int],
        channels: int,
        held_out: float,
        noise: float,
        seed: int,
        record: DataRecord | None,
    ) -> None:
        height, width = sides(size)
        if channels not in (1, 3):
            raise InputError(f"channels must be 1 (gray) or 3 (color), got {channels}")
        self._shape = (channels, height, width)
        # A folder called 2024 arrives as a number.
        super().__init__(str(path), held_out, noise, seed, record, {"size": [height, width], "channels": channels})

    @property
    def log_unit(self) -> float:
        return math.prod(self._shape) * math.log(LEVELS)

    def decode(self, x: Float[Tensor, "n channels height width"]) -> np.ndarray:
        return pictures(x)

    def encode(self, numbers: UInt8[np.ndarray, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        return torch.tensor(numbers, dtype=torch.get_default_dtype()).div_(LEVELS).sub_(1)

    def learn(self, path: str, _training: Training) -> tuple[dict[str, Any], Contents]:
        names, pixels, sizes = read(path, self._shape)
        if len(names) < 2:
            raise InputError(f"path={path} must hold at least 2 pictures, got {len(names)}")
        values = {"shape": list(self._shape), "range": [-1.0, 1.0], "sizes": sorted(set(sizes))}
        return values, contents(names, pixels, [])

    def read(self, path: str, values: dict[str, Any], _labeled: bool) -> Contents:
        names, pixels, sizes = read(path, self._shape)
        if not names:
            raise InputError(f"path={path} holds no pictures")
        new = sorted(set(sizes) - {tuple(size) for size in values["sizes"]})
        notes = []
        if new:
            count = sum(size in new for size in sizes)
            shown = listed([f"{width}×{height}" for width, height in new], 3)
            notes = [
                f"path={path} has {count} pictures of sizes that training did not see ({shown} pixels): they are "
                f"cropped and resized to {self._shape[2]}×{self._shape[1]} like all others"
            ]
        return contents(names, pixels, notes)


def contents(names: list[str], pixels: UInt8[np.ndarray, "n channels height width"], notes: list[str]) -> Contents:
    """Pictures as the contents of a folder."""
    import pandas as pd

    return Contents(pixels, None, names, np.ones(len(names), dtype=bool), pd.DataFrame({"file": names}), notes)


def sides(size: int | list[int]) -> tuple[int, int]:
    """Height and width from one number or both."""
    both = size if isinstance(size, list) else [size, size]
    if len(both) != 2:
        raise InputError(f"size must be one number or [height, width], got {size}")
    for side in both:
        check.count("size", side, least=2)
    return both[0], both[1]


def read(
    path: str, event: tuple[int, int, int]
) -> tuple[list[str], UInt8[np.ndarray, "n channels height width"], list[tuple[int, int]]]:
    """Every picture under a folder: its name, its pixels, and its own width and height; InputError names bad ones."""
    folder = own_path(path)
    if not folder.is_dir():
        raise InputError(f"path={path} is a file; pictures are read from a folder (a table: data=table)")
    names = picture_names(folder)
    sizes: list[tuple[int, int]] = []
    pixels = np.empty((len(names), *event), dtype=np.uint8)
    broken = []
    for i, name in enumerate(names):
        try:
            pixels[i], size = read_picture(folder / name, event)
            sizes.append(size)
        # On a damaged file Pillow's readers raise nearly anything.
        except Exception as error:
            broken.append(f"{name} ({why(error)})")
    if broken:
        raise InputError(
            f"path={path} has pictures that cannot be read, {len(broken)} of {len(names)}: {listed(broken, 3)}; "
            "mend or remove them"
        )
    return names, pixels, sizes


def formats() -> list[str]:
    """The formats that Pillow reads by itself."""
    from PIL import Image

    Image.init()
    return [kind for kind in Image.OPEN if kind not in NO_PICTURES]


def picture_names(folder: Path) -> list[str]:
    """Names, relative to the folder, of all files with a picture's suffix; in the same order on every machine."""
    from PIL import Image

    readable = formats()
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in readable}
    names = [file.relative_to(folder) for file in folder.rglob("*") if file.suffix.lower() in suffixes]
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    # The figures of a run that was made beside the pictures are not among them.
    inside = {parent for name in visible for parent in name.parents if parent != Path()}
    made = {parent for parent in inside if is_of_ebm(folder / parent)}
    own = [name for name in visible if made.isdisjoint(name.parents)]
    return sorted(name.as_posix() for name in own if (folder / name).is_file())


def read_picture(
    file: Path, event: tuple[int, int, int]
) -> tuple[UInt8[np.ndarray, "channels height width"], tuple[int, int]]:
    """One picture, cropped in the middle and resized, and its own width and height."""
    from PIL import Image, ImageOps

    channels, height, width = event
    with warnings.catch_warnings():
        # Damaged metadata are no reason to refuse a picture; a picture that unpacks to gigabytes is.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=formats()) as picture:
            own = picture.size
            # Large JPEGs are decoded at a fraction of their size, still twice what is needed: several times faster.
            enough = 2 * max(height, width)
            picture.draft(None, (enough, enough))
            shown = opaque(eight_bits(ImageOps.exif_transpose(picture))).convert("RGB")
    cut = ImageOps.fit(shown, (width, height), Image.Resampling.LANCZOS)
    levels = np.asarray(cut if channels == 3 else cut.convert("L"))
    return levels.reshape(height, width, channels).transpose(2, 0, 1), own


def eight_bits(picture: Image) -> Image:
    """Grey levels of 16 bits or floats in [0, 1] scaled to 0…255, where Pillow would cut them off there."""
    from PIL import Image

    if not picture.mode.startswith(("I", "F")):
        return picture
    levels = np.asarray(picture)
    white = 1.0 if picture.mode == "F" else 65535
    if not (levels.min() >= 0 and levels.max() <= white):
        raise ValueError(f"grey levels outside 0…{white:g}")
    return Image.fromarray((levels * (255 / white)).round().astype(np.uint8))


def opaque(picture: Image) -> Image:
    """Laid over white where it is transparent."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    coloured = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), coloured)


def why(error: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    from PIL import Image

    if isinstance(error, Image.UnidentifiedImageError):
        return "no picture inside"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:60]
