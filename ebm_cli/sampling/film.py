"""A film of chains of the run's own sampler, from its start."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ebm_cli import check, figure
from ebm_cli.assembly.components import Parts
from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.replica_search import needs_search
from ebm_cli.check import InputError
from ebm_cli.data import is_image
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampling.picture_grid import PictureGrid

KINDS = ("gif", "png")
# Kernel steps that a film shows, those between two frames, and the time that each frame is shown.
STEPS, BETWEEN, MILLISECONDS = 600, 5, 60
# The last frame is shown longer, and a picture has at least this many pixels across.
LAST_MILLISECONDS, WIDTH = 2500, 480


def check_film(kind: object) -> None:
    """Raise InputError unless `kind` is None or a kind of film."""
    if kind is not None:
        check.one_of("film", kind, KINDS)


def write_film(
    folder: Path, kind: str, parts: Parts, x: Tensor, shape: PictureGrid, rng: torch.Generator, terminal: Terminal
) -> Path:
    """Write film.gif or film.png (APNG): chains of the run's sampler from x, which nothing else moves or selects.

    Raises InputError for states that are no pictures.

    x: initial states. shape: arrangement of the first ones.
    """
    from PIL import Image

    if not is_image(parts.event):
        raise InputError(f"film needs pictures, but states have shape {list(parts.event)}")
    if needs_search(parts.sampler):
        raise InputError("film needs a sampler that moves single states, such as sampler=mala, not replica exchange")
    first = x[: shape.cells]
    with terminal.task("film", STEPS) as tick:
        moved = run_chains(parts.sampler, parts.energy, first, STEPS, rng, thin=BETWEEN, progress=tick)
    frames = [frame(parts, states, shape.columns) for states in [first, *moved.x]]
    scale = max(1, -(-WIDTH // frames[0].shape[1]))
    pictures = [
        Image.fromarray(each).resize((scale * each.shape[1], scale * each.shape[0]), Image.Resampling.NEAREST)
        for each in frames
    ]
    path = folder / f"film.{kind}"
    times = [MILLISECONDS] * (len(pictures) - 1) + [LAST_MILLISECONDS]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=times, loop=0)
    return path


def frame(parts: Parts, x: Tensor, columns: int) -> np.ndarray:
    """Return states as one picture of levels 0…255. A chain that is not finite is black."""
    finite = torch.where(x.isfinite(), x, x.new_zeros(()))
    shown = parts.data.decode(finite) if parts.data is not None else figure.as_pictures(finite.cpu().numpy())
    return (figure.tiled(shown, columns).clip(0, 1) * 255).round().astype(np.uint8)
