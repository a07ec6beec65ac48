"""The states of which a line gives a part: held-out rows, pictures, or rows with empty cells."""

import dataclasses
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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
from ebm_cli.data._files import saved_array
from ebm_cli.data._picture_folder import error_text, levels_of, opaque_picture
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy import space_of

# Held-out rows if the line names none.
DEFAULT_ROWS = 8


@runtime_checkable
class ReadsIncompleteRows(Protocol):
    """A data set that reads rows with empty cells."""

    def read_incomplete(self, path: str) -> IncompleteRows: ...


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


def observations(
    condition: Condition, image: Any, parts: Parts, seed: int, incomplete: IncompleteRows | None
) -> list[Observation]:
    """Return what is known of each state. Raises InputError if the line does not say, or says it wrongly.

    image: numbers of held-out rows, all, or a file of pictures; None for the first held-out rows, or for the file of
        the condition.
    incomplete: the rows of this file.
    """
    if incomplete is not None:
        if image is not None:
            raise InputError("image must not be given with condition=rows, which has its rows in condition.path")
        x = incomplete.x.to(parts.machine.device)
        return [condition.given(f"row {n}", row, parts.event) for n, row in zip(incomplete.numbers, x, strict=True)]
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


def incomplete_rows(condition: Condition, data: Data | None) -> IncompleteRows | None:
    """Return the rows with empty cells in the file of a condition; None if it has no file of rows.

    Raises InputError if no cell is empty, or if the file does not fit.
    """
    if not isinstance(condition, Rows):
        return None
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
    return found


def pictures_of(path: str, parts: Parts) -> list[tuple[str, Tensor]]:
    """Return the observations in a file: an array in the units of the model, or a picture, from black −1 to white 1."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise InputError(f"image={path} is no file: give a picture, an array as .npy, or numbers of held-out rows")
    if found.suffix == ".npy":
        array = saved_array(f"image={path}", found)
        if array.dtype.kind not in "biuf":
            raise InputError(f"image={path} must contain real numbers, got {array.dtype}")
        whole = array[None] if array.ndim == len(parts.event) else array
        names = [f"{found.name}, row {n}" for n in range(len(whole))] if len(whole) > 1 else [found.name]
        states = torch.tensor(whole, dtype=torch.get_default_dtype(), device=parts.machine.device)
        return list(zip(names, states, strict=True))
    if not is_image(parts.event):
        raise InputError(f"image={path} is a picture, but states have shape {list(parts.event)}: give an array as .npy")
    return [(found.name, read_picture(path, found, parts))]


def read_picture(path: str, file: Path, parts: Parts) -> Tensor:
    """Return a picture with the channels of the states, from −1 to 1."""
    try:
        picture, _ = opaque_picture(file)
    # The readers of Pillow raise nearly any exception for a damaged file.
    except Exception as error:
        raise InputError(f"image={path} cannot be read as a picture: {error_text(error)}") from None
    levels = levels_of(picture, parts.event[0]) / 127.5 - 1
    return torch.tensor(levels, dtype=torch.get_default_dtype(), device=parts.machine.device)
