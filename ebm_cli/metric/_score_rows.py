"""The rows of a user's own file as states of the model, to be scored."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE, Data, FileData, FileRows, images, is_image
from ebm_cli.data._files import existing_path
from ebm_cli.data._picture_folder import read_folder
from ebm_cli.data._sites import Sites
from ebm_cli.energy import device_of, space_of


class ScoredRows(NamedTuple):
    """Rows to be scored.

    log_unit: Σ log of the file's units per unit of the model's coordinates.
    unit: the file's units in words.
    """

    rows: FileRows
    log_unit: float
    unit: str


def rows_of(energy: nn.Module, event: tuple[int, ...], data: Data | None, path: str) -> ScoredRows:
    """Return the rows of a file as states of the model. Raises InputError for a file that does not fit."""
    try:
        if isinstance(data, FileData):
            found = ScoredRows(data.read_rows(path), data.log_unit, data.unit)
        else:
            found = plain_rows(path, event, data, space_of(energy))
    except InputError as error:
        raise InputError(*(as_score(message) for message in error.messages)) from None
    rows = found.rows._replace(x=found.rows.x.to(device_of(energy)), notes=[as_score(n) for n in found.rows.notes])
    return found._replace(rows=rows)


def as_score(message: str) -> str:
    """Return a message about `path` as one about `score`."""
    return f"score={message.removeprefix('path=')}" if message.startswith("path=") else message


def plain_rows(path: str, event: tuple[int, ...], data: Data | None, space: str) -> ScoredRows:
    """Return the pictures of a folder, or an array (rows, *event) in the model's units, for data without columns."""
    import pandas as pd

    found = existing_path(path)
    if found.is_dir():
        return picture_rows(path, event, space)
    if found.suffix != ".npy":
        name = "the data" if data is None else f"the data set {type(data).__name__}"
        raise InputError(
            f"path={path} cannot be matched with {name}, because its columns have no names: give an array of shape "
            f"(rows, {', '.join(map(str, event))}) as .npy{', or a folder of pictures' if len(event) == 3 else ''}"
        )
    x = read_array(path, found, event)
    complete = np.asarray(np.isfinite(x).reshape(len(x), -1).all(1))
    states = torch.tensor(x[complete], dtype=torch.get_default_dtype())
    if space in DISCRETE and not Sites(space, event).contain(states):
        raise InputError(f"path={path} must contain {Sites(space, event).description} only, the states of the model")
    rows = FileRows(states, complete, pd.DataFrame({"row": np.arange(len(x))}), [])
    return ScoredRows(rows, 0.0, "the model's own units")


def picture_rows(path: str, event: tuple[int, ...], space: str) -> ScoredRows:
    """Return the pictures of a folder."""
    import pandas as pd

    if space in DISCRETE:
        raise InputError(
            f"path={path} is a folder of pictures with gray levels, but the model's states are "
            f"{Sites(space, event).description}: give an array of these as .npy"
        )
    if not is_image(event):
        raise InputError(f"path={path} is a folder of pictures, but the model's states have shape {list(event)}")
    names, pixels, _ = read_folder(path, (event[0], event[1], event[2]))
    if not names:
        raise InputError(f"path={path} contains no pictures")
    x = torch.tensor(pixels, dtype=torch.get_default_dtype()) / images.LEVELS - 1
    rows = FileRows(x, np.ones(len(names), dtype=bool), pd.DataFrame({"file": names}), [])
    return ScoredRows(rows, float(np.prod(event)) * float(np.log(images.LEVELS)), "gray levels 0…255")


def read_array(path: str, found: Path, event: tuple[int, ...]) -> Float[np.ndarray, "n *event"]:
    """Return the array in a .npy file. Raises InputError unless it has numbers of shape (rows, *event)."""
    try:
        with found.open("rb") as file:
            x = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"path={path} cannot be read: {str(error).splitlines()[0][:200]}") from None
    if x.shape[1:] != tuple(event) or len(x) == 0 or not (np.issubdtype(x.dtype, np.number) and np.isrealobj(x)):
        raise InputError(
            f"path={path} must contain real numbers of shape (rows, {', '.join(map(str, event))}), got {x.dtype} of "
            f"shape {x.shape}"
        )
    return x.astype(float)
