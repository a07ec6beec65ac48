"""Gray pictures of letters that are drawn by code."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# Capitals that do not look like digits.
LETTERS = "ACEFHJKMNPRTUVWXY"
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSerif-Bold.ttf")
# Letters are drawn in larger size and reduced, so that edges have gray levels.
CANVAS = 96
MAX_DEGREES = 12.0


def letters(n: int, size: tuple[int, int], rng: torch.Generator) -> Float[Tensor, "n height width"]:
    """Return white capitals on black in [−1, 1], in five fonts that ship with matplotlib, turned by up to 12 degrees.

    Each letter fills the picture up to a margin, as the digits of the shipped sets do. Letters that look like digits
    (B, D, G, I, L, O, Q, S, Z) are left out.
    """
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(folder / name), CANVAS) for name in FONTS]
    chosen = torch.randint(len(LETTERS) * len(fonts), (n,), generator=rng).tolist()
    angles = (MAX_DEGREES * (2 * torch.rand(n, generator=rng) - 1)).tolist()
    height, width = size
    pictures = np.empty((n, height, width), dtype=np.float32)
    for i, (number, degrees) in enumerate(zip(chosen, angles, strict=True)):
        canvas = Image.new("L", (2 * CANVAS, 2 * CANVAS))
        letter = LETTERS[number % len(LETTERS)]
        ImageDraw.Draw(canvas).text((CANVAS, CANVAS), letter, 255, fonts[number // len(LETTERS)], anchor="mm")
        turned = canvas.rotate(degrees, Image.Resampling.BILINEAR)
        box = turned.getbbox()
        assert box is not None
        inner = (max(1, width - width // 4), max(1, height - height // 8))
        ink = turned.crop(box)
        ink.thumbnail(inner, Image.Resampling.BOX)
        left, top = (width - ink.width) // 2, (height - ink.height) // 2
        whole = Image.new("L", (width, height))
        whole.paste(ink, (left, top))
        pictures[i] = np.asarray(whole, dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(pictures)
