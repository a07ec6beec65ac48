"""Pictures in a folder, read as gray levels or colors of one shape."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from ebm_cli.check import InputError
from ebm_cli.data._files import existing_path, join_names
from ebm_cli.run.folder import is_of_ebm

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    # The readers of Pillow take a while to import, so they are imported when a picture is read.
    Image = Any

# Formats that Pillow cannot read itself.
UNREADABLE_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def read_folder(
    path: str, event: tuple[int, int, int]
) -> tuple[list[str], UInt8[np.ndarray, "n channels height width"], list[tuple[int, int]]]:
    """Return name, pixels, and own width and height of every picture; raise InputError that lists unreadable files."""
    folder = existing_path(path)
    if not folder.is_dir():
        raise InputError(f"path={path} is a file; pictures are read from a folder (a table: data=table)")
    names = picture_names(folder)
    sizes: list[tuple[int, int]] = []
    pixels = np.empty((len(names), *event), dtype=np.uint8)
    unreadable = []
    for i, name in enumerate(names):
        try:
            pixels[i], size = read_picture(folder / name, event)
            sizes.append(size)
        # The readers of Pillow raise nearly any exception for a damaged file.
        except Exception as error:
            unreadable.append(f"{name} ({error_text(error)})")
    if unreadable:
        raise InputError(
            f"path={path} has pictures that cannot be read, {len(unreadable)} of {len(names)}: "
            f"{join_names(unreadable, 3)}; repair or delete these files"
        )
    return names, pixels, sizes


def readable_formats() -> list[str]:
    """Return the formats that Pillow can read itself."""
    from PIL import Image

    Image.init()
    return [kind for kind in Image.OPEN if kind not in UNREADABLE_FORMATS]


def picture_names(folder: Path) -> list[str]:
    """Return the names, relative to the folder, of all files with the suffix of a picture, in a fixed order."""
    from PIL import Image

    readable = readable_formats()
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in readable}
    names = [file.relative_to(folder) for file in folder.rglob("*") if file.suffix.lower() in suffixes]
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    # Figures of a run whose folder is below this one are not data.
    inside = {parent for name in visible for parent in name.parents if parent != Path()}
    run_folders = {parent for parent in inside if is_of_ebm(folder / parent)}
    own = [name for name in visible if run_folders.isdisjoint(name.parents)]
    return sorted(name.as_posix() for name in own if (folder / name).is_file())


def read_picture(
    file: Path, event: tuple[int, int, int]
) -> tuple[UInt8[np.ndarray, "channels height width"], tuple[int, int]]:
    """Return a picture, cropped to its center and resized, and its own width and height."""
    from PIL import Image, ImageOps

    channels, height, width = event
    # Large JPEGs are decoded at a fraction of their size, twice the size needed or more. It is much faster.
    opaque, own_size = opaque_picture(file, 2 * max(height, width))
    return levels_of(ImageOps.fit(opaque, (width, height), Image.Resampling.LANCZOS), channels), own_size


def opaque_picture(file: Path, enough: int | None = None) -> tuple[Image, tuple[int, int]]:
    """Return a picture in RGB, upright and without transparency, and its own width and height.

    enough: a side in pixels that is enough; None for the whole picture.
    """
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        # Damaged metadata is accepted. A picture that unpacks to gigabytes is refused.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=readable_formats()) as picture:
            own_size = picture.size
            if enough is not None:
                picture.draft(None, (enough, enough))
            return without_transparency(eight_bit_levels(ImageOps.exif_transpose(picture))).convert("RGB"), own_size


def levels_of(picture: Image, channels: int) -> UInt8[np.ndarray, "channels height width"]:
    """Return the levels of a picture in RGB, or its gray levels for one channel."""
    levels = np.asarray(picture if channels == 3 else picture.convert("L"))
    return levels.reshape(picture.height, picture.width, channels).transpose(2, 0, 1)


def eight_bit_levels(picture: Image) -> Image:
    """Return gray levels of 16 bits, or floats in [0, 1], scaled to 0…255, where Pillow would clip them."""
    from PIL import Image

    if not picture.mode.startswith(("I", "F")):
        return picture
    levels = np.asarray(picture)
    white = 1.0 if picture.mode == "F" else 65535
    if not (levels.min() >= 0 and levels.max() <= white):
        raise ValueError(f"gray levels outside 0…{white:g}")
    return Image.fromarray((levels * (255 / white)).round().astype(np.uint8))


def without_transparency(picture: Image) -> Image:
    """Return the picture on a white background if it has transparent parts."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))


def error_text(error: Exception) -> str:
    """Return in a few words why a picture cannot be read."""
    from PIL import Image

    if isinstance(error, Image.UnidentifiedImageError):
        return "no picture inside"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:60]
