"""A folder of the user's own pictures."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Rows, check_rows, listed, own_path, pictures, split_rows

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    # Pillow's readers take a while to import, so they wait for pictures to read.
    Image = Any

# Formats that Pillow only knows the name of, or has another program draw.
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Images(Rows):
    """All pictures under a folder, cut to one shape and scaled to [−1, 1], plus dequantisation noise N(0, noise²I).

    Each is turned as its EXIF says, laid over white where it is transparent, cropped in the middle to the shape's
    aspect and resized; of several frames the first is taken. Hidden files, and those whose suffix is no picture's,
    are left out.

    path: the folder. size: pixels a side ≥ 2, or [height, width]. channels: 1 grey, 3 colour. held_out: share of
    the pictures in (0, 1). noise: σ ≥ 0 in the scaled units, where one of 255 grey levels is 0.0078. seed: of the
    split, which goes by the pictures' names in alphabetical order. Raises InputError for a picture that cannot be
    read.
    """

    def __init__(
        self, path: str | int, size: int | list[int], channels: int, held_out: float, noise: float, seed: int
    ) -> None:
        height, width = sides(size)
        if channels not in (1, 3):
            raise InputError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        check_rows(held_out, noise, seed)
        # A folder called 2024 arrives as a number.
        pixels = read(str(path), (channels, height, width))
        train, held = split_rows(len(pixels), held_out, seed)
        super().__init__(_rows(pixels[train]), _rows(pixels[held]), noise)

    def decode(self, x: Float[Tensor, "n channels height width"]) -> np.ndarray:
        return pictures(x)


def _rows(pixels: UInt8[np.ndarray, "n channels height width"]) -> Batch:
    x = torch.tensor(pixels, dtype=torch.get_default_dtype()).div_(127.5).sub_(1)
    return Batch(x, clean=x)


def sides(size: int | list[int]) -> tuple[int, int]:
    """Height and width from one number or both."""
    both = size if isinstance(size, list) else [size, size]
    if len(both) != 2:
        raise InputError(f"size must be one number or [height, width], got {size}")
    for side in both:
        check.count("size", side, least=2)
    return both[0], both[1]


def read(path: str, event: tuple[int, int, int]) -> UInt8[np.ndarray, "n channels height width"]:
    """Every picture under a folder; InputError names those that cannot be read."""
    folder = own_path(path)
    if not folder.is_dir():
        raise InputError(f"path={path} is a file; pictures are read from a folder (a table: data=table)")
    names = picture_names(folder)
    if len(names) < 2:
        raise InputError(f"path={path} must hold at least 2 pictures, got {len(names)}")
    pixels = np.empty((len(names), *event), dtype=np.uint8)
    broken = []
    for i, name in enumerate(names):
        try:
            pixels[i] = read_picture(folder / name, event)
        # On a damaged file Pillow's readers raise nearly anything.
        except Exception as error:
            broken.append(f"{name} ({why(error)})")
    if broken:
        raise InputError(
            f"path={path} has pictures that cannot be read, {len(broken)} of {len(names)}: {listed(broken, 3)}; "
            "mend or remove them"
        )
    return pixels


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
    return sorted(name.as_posix() for name in visible if (folder / name).is_file())


def read_picture(file: Path, event: tuple[int, int, int]) -> UInt8[np.ndarray, "channels height width"]:
    """One picture, cropped in the middle and resized."""
    from PIL import Image, ImageOps

    channels, height, width = event
    with warnings.catch_warnings():
        # Damaged metadata are no reason to refuse a picture; a picture that unpacks to gigabytes is.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=formats()) as picture:
            # Large JPEGs are decoded at a fraction of their size, still twice what is needed: several times faster.
            enough = 2 * max(height, width)
            picture.draft(None, (enough, enough))
            shown = opaque(eight_bits(ImageOps.exif_transpose(picture))).convert("RGB")
    cut = ImageOps.fit(shown, (width, height), Image.Resampling.LANCZOS)
    levels = np.asarray(cut if channels == 3 else cut.convert("L"))
    return levels.reshape(height, width, channels).transpose(2, 0, 1)


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
