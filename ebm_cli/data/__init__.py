"""Data: the samples that a model is trained on and compared with; one file per data set.

`sample` is a pure function of its generator. Therefore a resumed run has the same batches.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

# What a state can be: any numbers; angles in [−π, π); zeros and ones; minus ones and ones; one of several categories
# per site.
SPACES = ("continuous", "periodic", "binary", "spin", "categorical")
# Spaces whose states have finitely many values per site.
DISCRETE = frozenset(("binary", "spin", "categorical"))

Split = Literal["train", "held_out"]
Purpose = Literal["rows", "resume", "units"]


class Batch(NamedTuple):
    """n samples.

    x: the samples.
    clean: the samples before noise, if the set has noise-free samples.
    y: their labels, if any.
    """

    x: Float[Tensor, "n *event"]
    clean: Float[Tensor, "n *event"] | None = None
    y: Int[Tensor, " n"] | None = None

    def select(self, rows: Tensor) -> "Batch":
        """Return the samples with these row numbers."""
        clean, y = (None if part is None else part[rows] for part in (self.clean, self.y))
        return Batch(self.x[rows], clean, y)


@runtime_checkable
class Data(Protocol):
    """A data set.

    event: the shape of one sample.
    noise: σ of the Gaussian noise in its draws.
    finite: True for a fixed list of rows that a model could memorize; False for samples generated at every draw.

    Its class or __init__ sets `space` if its rows are not continuous.
    """

    event: tuple[int, ...]
    noise: float

    @property
    def finite(self) -> bool: ...

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n training samples, noise included, with replacement."""
        ...

    def split(self, split: Split) -> Batch:
        """Return all rows of a split in their own order, without noise if the set has noise-free samples."""
        ...

    def decode(self, x: Float[Tensor, "n *event"]) -> np.ndarray:
        """Return states for display: pictures in [0, 1], or rows in their own units."""
        ...


@runtime_checkable
class KnownDensity(Protocol):
    """A data set whose distribution, noise included, has a known density."""

    def log_prob(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]: ...


@runtime_checkable
class RedrawnData(Protocol):
    """A data set whose training rows can be drawn again for each batch, such as pixels of given probabilities."""

    def redraw(self, rng: torch.Generator) -> Float[Tensor, "n *event"] | None:
        """Return all training rows, drawn again, in the order of their split; None if they are always the same."""
        ...


@dataclass(frozen=True)
class DataRecord:
    """The facts about a user's file that training uses. The run stores them, because later verbs need the same units.

    target: class of the data set.
    path: path of the training file.
    values: plain values by which rows are matched, scaled and split.
    fingerprint: rows, columns and hash of the values that were used.
    held_out: the numbers of the held-out rows in the units of the file, and their labels if any.
    purpose: `rows` takes held-out rows from the record and opens the file only for training rows; `resume` reads the
        file and refuses it if it has changed; `units` reads any file in the units of the record.
    """

    target: str
    path: str
    values: dict[str, Any]
    fingerprint: dict[str, Any]
    held_out: dict[str, Tensor]
    purpose: Purpose = "rows"

    def used_for(self, purpose: Purpose) -> "DataRecord":
        """Return the same record with another purpose."""
        return dataclasses.replace(self, purpose=purpose)


class FileRows(NamedTuple):
    """Rows of a user's file in the units of a run.

    x: one state per complete row.
    complete: True for each row of the file that x contains.
    table: a DataFrame of all columns and rows of the file, in its own order.
    notes: differences from the training file.
    """

    x: Float[Tensor, "n *event"]
    complete: np.ndarray
    table: Any
    notes: list[str]


class IncompleteRows(NamedTuple):
    """The rows of a user's file that have empty cells.

    x: one state per such row, with NaN in the coordinates of empty cells.
    numbers: their row numbers in the file.
    table: a DataFrame of the whole file, in its own order, with the columns of the model.
    """

    x: Float[Tensor, "n *event"]
    numbers: np.ndarray
    table: Any


@runtime_checkable
class FileData(Protocol):
    """A data set from a user's own file. Its constructor takes `record`, None in a new training run.

    unit: description of the unit of the file.
    log_unit: Σ log of the scale of each coordinate. The log density in the units of the file is the model's minus this.
    """

    @property
    def unit(self) -> str: ...

    @property
    def log_unit(self) -> float: ...

    def record(self) -> DataRecord:
        """Return the facts about the file that later verbs need."""
        ...

    def available_rows(self) -> Batch:
        """Return samples of the training distribution, from the record if it exists."""
        ...

    def parse(self, rows: np.ndarray) -> np.ndarray:
        """Return rows that a user gives as `encode` takes them; raise InputError for rows of another shape."""
        ...

    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n *event"]:
        """Return rows in the units of the file as states."""
        ...

    def read_rows(self, path: str) -> FileRows:
        """Return all rows of another file; raise InputError if they do not match the training file."""
        ...

    def origin(self, split: Split) -> tuple[str, list[Any]] | None:
        """Return the kind of name (`row` or `file`) and one name per row of a split; None if unknown."""
        ...


def is_image(event: tuple[int, ...]) -> bool:
    """Return True for (channels, height, width) with one or three channels."""
    return len(event) == 3 and event[0] in (1, 3)


def row_space(data: object) -> str:
    """Return the space that the rows of a data set are in."""
    return getattr(data, "space", "continuous")
