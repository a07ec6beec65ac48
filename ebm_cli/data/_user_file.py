"""Sets of rows from a user's own file: read and split in training, later opened by the record that the run stores."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Batch, DataRecord, FileRows, Split
from ebm_cli.data._file_contents import Contents, describe_change
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._rows import check_split, split_rows

# A function from the number of all rows to the numbers of the training rows.
TrainingRows = Callable[[int], np.ndarray]

# Names of settings in a stored record whose key has another name.
KEYS = {"held_out": "holdout_fraction"}


class UserFile(FiniteData, ABC):
    """Base of the sets that are read from a file.

    Without a record the file is read and split, and `learn` computes values from its training rows, such as their
    scale. With a record (`DataRecord`), its stored values are used instead. A set provides `learn`, `read` and
    `encode`, and sets its own attributes before it calls this constructor.

    path: path of the file.
    held_out: fraction of the rows that is held out (in (0, 1)).
    noise: σ (≥ 0).
    seed: seed of the split.
    settings: other arguments that a later verb cannot change.

    Raises InputError for a file that cannot be used.
    """

    # The name of a row in scores.csv.
    row_name: ClassVar[str]

    def __init__(
        self,
        path: str,
        held_out: float,
        noise: float,
        seed: int,
        record: DataRecord | None,
        settings: dict[str, Any],
    ) -> None:
        check_split(held_out, noise, seed)
        self._path = str(Path(path).expanduser().absolute())
        self._settings = {"held_out": held_out, "seed": seed, **settings}
        self._record = record
        self._stored: Batch | None = None
        self._names: dict[Split, list[Any]] = {}
        # The name of another file. All of its rows replace the held-out rows.
        self.other_file = ""
        self.notes: list[str] = []
        if record is not None and record.purpose == "rows":
            super().__init__(None, self._open_record(record, path), noise)
            return
        if record is None:
            self.values, contents = self.learn(path, lambda n: split_rows(n, held_out, seed)[0])
        else:
            self.values, contents = record.values, self.read(path, record.values, True)
        self._fingerprint = contents.fingerprint()
        if record is not None and record.purpose == "resume" and self._fingerprint != record.fingerprint:
            raise InputError(
                f"path={path} {describe_change(record.fingerprint, self._fingerprint)}: a resumed run needs the file "
                "that it was trained on. Restore that file, or start a new run with init="
            )
        train, held = split_rows(len(contents.numbers), held_out, seed)
        self._held_out = contents.select(held)
        super().__init__(self._use("train", contents.select(train)), self._use("held_out", self._held_out), noise)
        self.notes += contents.notes

    @abstractmethod
    def learn(self, path: str, training: TrainingRows, /) -> tuple[dict[str, Any], Contents]:
        """Read a training file; return plain values learned from its training rows, and its contents."""

    @abstractmethod
    def read(self, path: str, values: dict[str, Any], labeled: bool, /) -> Contents:
        """Read another file by the values of the training file; raise InputError if it does not match them.

        labeled: True if its rows need labels when the training file has labels.
        """

    @abstractmethod
    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n *event"]:
        """Return rows in the units of the file as states."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row in the units of the file."""
        return self.event

    def parse(self, rows: np.ndarray) -> np.ndarray:
        """Return rows that a user gives as `encode` takes them; raise InputError for rows of another shape."""
        if rows.shape[1:] != self.row_shape:
            raise InputError(f"rows must have shape (n, {str(self.row_shape)[1:-1]}), got {rows.shape}")
        return rows

    def record(self) -> DataRecord:
        """Return the facts about the file that the run's folder stores."""
        if self._record is not None and self._record.purpose != "units":
            return self._record
        numbers, y = self._held_out.numbers, self._held_out.y
        held_out = {"numbers": torch.from_numpy(np.ascontiguousarray(numbers))}
        if y is not None:
            held_out["y"] = torch.from_numpy(y)
        values = self.values | {"settings": self._settings, "held_out_names": self._names["held_out"]}
        target = f"{type(self).__module__}.{type(self).__qualname__}"
        return DataRecord(target, self._path, values, self._fingerprint, held_out)

    def read_rows(self, path: str) -> FileRows:
        """Return all rows of another file, in the units that training learned."""
        contents = self.read(path, self.values, False)
        return FileRows(self.encode(contents.numbers), contents.complete, contents.table, contents.notes)

    def split(self, split: Split) -> Batch:
        if split not in self._splits:
            self._splits[split] = self._read_training_rows()
        return self._splits[split]

    def available_rows(self) -> Batch:
        """Return the training rows; the held-out rows of the record if the set was opened from a record."""
        return self.split("train") if self._stored is None else self._stored

    def origin(self, split: Split) -> tuple[str, list[Any]] | None:
        """Return the names that the file gives to the rows of a split."""
        return (self.row_name, self._names[split]) if split in self._names else None

    def _open_record(self, record: DataRecord, path: str) -> Batch:
        """Return the held-out rows of the record, or all rows of another file that is named."""
        fixed = record.values["settings"]
        changed = [key for key, value in self._settings.items() if fixed.get(key, value) != value]
        if changed:
            own = "belongs to the run, where it is"
            raise InputError(*(f"{KEYS.get(k, k)} {own} {fixed[k]}: it cannot be changed here" for k in changed))
        self.values, self._fingerprint = record.values, record.fingerprint
        self._own_file: Contents | None = None
        numbers, y = record.held_out["numbers"].numpy(), record.held_out.get("y")
        names = record.values["held_out_names"]
        stored = Contents(numbers, None if y is None else y.numpy(), names, np.ones(len(numbers), bool), None, [])
        self._stored = self._use("held_out", stored)
        if self._path == record.path:
            return self._stored
        contents = self.read(path, record.values, True)
        if contents.fingerprint() == record.fingerprint:
            self._own_file = contents
            return self._stored
        self.other_file = Path(path).name
        self.notes += [
            f"all {len(contents.numbers)} rows of {path} are used, in the units of the run's training data",
            *contents.notes,
        ]
        return self._use("held_out", contents)

    def _read_training_rows(self) -> Batch:
        """Return the training rows of the record's file; raise InputError unless it exists and is unchanged."""
        record = self._record
        assert record is not None
        try:
            contents = self._own_file or self.read(record.path, record.values, True)
        except InputError as error:
            raise InputError(
                f"needs training rows, but data.{error.messages[0]}; if the file has moved, type data.path=FILE"
            ) from None
        if contents.fingerprint() != record.fingerprint:
            raise InputError(
                f"needs training rows, but data.path={record.path} "
                f"{describe_change(record.fingerprint, contents.fingerprint())}; score=FILE scores its present rows"
            )
        settings = record.values["settings"]
        train, _ = split_rows(len(contents.numbers), settings["held_out"], settings["seed"])
        return self._use("train", contents.select(train))

    def _use(self, split: Split, contents: Contents) -> Batch:
        """Store the names of the contents as a split; return its states and labels."""
        self._names[split] = contents.names
        x = self.encode(contents.numbers)
        return Batch(x, clean=x, y=None if contents.y is None else torch.as_tensor(contents.y, device=x.device))
