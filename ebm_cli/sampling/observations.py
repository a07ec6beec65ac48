"""The states of which a line gives a part: held-out rows, pictures, or rows with empty cells."""

import dataclasses
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.assembly.components import Parts
from ebm_cli.check import InputError
from ebm_cli.condition import Condition, Observation
from ebm_cli.condition._measured import OwnOperator
from ebm_cli.condition.label import Label
from ebm_cli.condition.rows import Rows
from ebm_cli.data import Data, IncompleteRows, is_image
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy import space_of

# Held-out rows if the line names none.
DEFAULT_ROWS = 8


@runtime_checkable
class ReadsIncompleteRows(Protocol):
    """A data set that reads rows with empty cells."""

    def read_incomplete(self, path: str) -> IncompleteRows: ...

    def decode(self, x: Tensor) -> np.ndarray: ...


def as_condition(part: Any) -> Condition:
    """Return a condition of this package, or a user's module as one. Raises InputError for anything else."""
    if hasattr(part, "restrict"):
        return part
    if not isinstance(part, nn.Module) or not hasattr(part, "sigma"):
        raise InputError(
            "condition._target_ must name an nn.Module whose forward gives what is observed of states, with an "
            "attribute sigma, the standard deviation of its noise"
        )
    return OwnOperator(part)


def observations(condition: Condition, image: Any, parts: Parts, seed: int) -> list[Observation]:
    """Return what is known of each state. Raises InputError if the line does not say, or says it wrongly.

    image: numbers of held-out rows, all, or a file of pictures; None for the first held-out rows, or for the file of
        the condition.
    """
    if isinstance(condition, Rows):
        if image is not None:
            raise InputError("image must not be given with condition=rows, which has its rows in condition.path")
        return rows_of_file(condition, parts)
    if isinstance(condition, Label):
        name = f"class {condition.label}"
        return [condition.observe(name, torch.zeros(parts.event).to(parts.machine.device), torch.Generator())]
    if isinstance(image, str) and image != "all":
        return [condition.given(name, y, parts.event) for name, y in pictures_of(image, parts)]
    return held_out(condition, image, parts, seed)


def held_out(condition: Condition, image: Any, parts: Parts, seed: int) -> list[Observation]:
    """Return observations of held-out rows of the run's data, with the noise of the data."""
    if parts.data is None:
        raise InputError("condition needs held-out rows: type run=RUN of a run with data, or image=FILE")
    split = noisy_split(parts.data, "held_out", seed)
    rows = split.x.to(parts.machine.device)
    numbers = list(range(len(rows))) if image == "all" else row_numbers(image, len(rows))
    generator = rng.generator(seed, "condition", parts.machine.device)
    one = observe_sites if space_of(parts.energy) == "categorical" else type(condition).observe
    seen = [one(condition, f"held-out row {number}", rows[number], generator) for number in numbers]
    if split.y is None:
        return seen
    labels = split.y[torch.tensor(numbers)].tolist()
    return [dataclasses.replace(each, label=label) for each, label in zip(seen, labels, strict=True)]


def observe_sites(condition: Condition, name: str, x: Tensor, rng: torch.Generator) -> Observation:
    """Return what is observed of a state of categories: whole sites, which are one-hot vectors along the last axis."""
    known = condition.observe(name, x[..., 0], rng).known
    assert known is not None
    return Observation(name, x, known[..., None].expand_as(x), x)


def row_numbers(image: Any, count: int) -> list[int]:
    """Return the numbers of held-out rows that a line gives. Raises InputError for numbers that do not exist."""
    if image is None:
        return list(range(min(DEFAULT_ROWS, count)))
    given = image if isinstance(image, list) else [image]
    wrong = [n for n in given if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < count]
    if wrong or not given:
        raise InputError(
            f"image must be numbers of held-out rows from 0 to {count - 1}, as in image=[0,3], all, or a file, "
            f"got {wrong[0] if wrong else '[]'}"
        )
    return given


def rows_of_file(condition: Rows, parts: Parts) -> list[Observation]:
    """Return the rows of a table that have empty cells. Raises InputError if none has, or if the file does not fit."""
    data: Data | None = parts.data
    if not isinstance(data, ReadsIncompleteRows):
        raise InputError("condition=rows needs a run whose data is a table. For other states type condition=mask")
    try:
        found = data.read_incomplete(condition.path)
    except InputError as error:
        raise InputError(*(message.replace("path=", "condition.path=", 1) for message in error.messages)) from None
    if not len(found.numbers):
        raise InputError(
            f"condition.path={condition.path} has no row with an empty cell, so that nothing is to be drawn"
        )
    x = found.x.to(parts.machine.device)
    return [condition.given(f"row {n}", row, parts.event) for n, row in zip(found.numbers, x, strict=True)]


def pictures_of(path: str, parts: Parts) -> list[tuple[str, Tensor]]:
    """Return the observations in a file: an array in the units of the model, or a picture, from black −1 to white 1."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise InputError(f"image={path} is no file: give a picture, an array as .npy, or numbers of held-out rows")
    if found.suffix == ".npy":
        try:
            array = np.load(found, allow_pickle=False).astype(float)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"image={path} cannot be read as .npy: {str(error).splitlines()[0][:200]}") from None
        whole = array[None] if array.ndim == len(parts.event) else array
        names = [f"{found.name}, row {n}" for n in range(len(whole))] if len(whole) > 1 else [found.name]
        states = torch.tensor(whole, dtype=torch.get_default_dtype(), device=parts.machine.device)
        return list(zip(names, states, strict=True))
    if not is_image(parts.event):
        raise InputError(f"image={path} is a picture, but states have shape {list(parts.event)}: give an array as .npy")
    return [(found.name, read_picture(path, parts))]


def read_picture(path: str, parts: Parts) -> Tensor:
    """Return a picture with the channels of the states, from −1 to 1."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            levels = np.asarray(picture.convert("L" if parts.event[0] == 1 else "RGB"), dtype=float)
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"image={path} cannot be read as a picture: {str(error).splitlines()[0][:200]}") from None
    pixels = torch.tensor(levels / 127.5 - 1, dtype=torch.get_default_dtype(), device=parts.machine.device)
    return pixels[None] if parts.event[0] == 1 else pixels.movedim(2, 0)
