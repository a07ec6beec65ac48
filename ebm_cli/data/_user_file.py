"""Sets of rows from a user's own file: read and split in training, then used by the record that the run keeps."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Batch, DataRecord, FileRows, Part, Rows, check_rows, split_rows

# From a number of rows to those that train.
Training = Callable[[int], np.ndarray]


class Contents(NamedTuple):
    """What a file holds.

    numbers: (rows, *event) in the file's own units, of complete rows only. y: their labels, if any. names: what the
    file calls them. complete: for every row of the file, whether it is complete. table: a DataFrame of all that the
    file says of its rows. notes: what differs from the training file.
    """

    numbers: np.ndarray
    y: np.ndarray | None
    names: list[Any]
    complete: np.ndarray
    table: Any
    notes: list[str]

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of rows and of columns, and a hash of all values that are used."""
        digest = hashlib.sha256(np.ascontiguousarray(self.numbers).tobytes())
        if self.y is not None:
            digest.update(self.y.tobytes())
        rows, *event = self.numbers.shape
        return {"rows": rows, "columns": int(np.prod(event)), "sha256": digest.hexdigest()}


class UserFile(Rows, ABC):
    """Base of the sets that are read from a file.

    Without a record the file is read, split, and `learn` takes from its training rows what later verbs need. With one,
    its values stand in the place of what the file would give, see `DataRecord`. A set gives `learn`, `read` and
    `encode`, and sets its own fields before it calls this constructor.

    path: the file. held_out: fraction of the rows that is held out, in (0, 1). noise: σ ≥ 0. seed: of the split.
    settings: its other arguments that a later verb cannot change. Raises InputError for a file that does not fit.
    """

    # What a row is called in scores.csv.
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
        check_rows(held_out, noise, seed)
        self._path = str(Path(path).expanduser().absolute())
        self._settings = {"held_out": held_out, "seed": seed, **settings}
        self._record = record
        self._recorded: Batch | None = None
        self._names: dict[Part, list[Any]] = {}
        # The name of another file, all of whose rows stand in the place of held-out ones.
        self.other_file = ""
        self.notes: list[str] = []
        if record is not None and record.purpose == "rows":
            self._from_record(record, path, noise)
            return
        if record is None:
            self.values, contents = self.learn(path, lambda n: split_rows(n, held_out, seed)[0])
        else:
            self.values, contents = record.values, self.read(path, record.values, True)
        self._fingerprint = contents.fingerprint()
        if record is not None and record.purpose == "resume" and self._fingerprint != record.fingerprint:
            raise InputError(
                f"path={path} {difference(record.fingerprint, self._fingerprint)}: a resumed run needs the file that "
                "it was trained on; put that file back, or start a new run with init="
            )
        train, held = split_rows(len(contents.numbers), held_out, seed)
        self._held_out = contents.numbers[held], None if contents.y is None else contents.y[held]
        super().__init__(self._batch(contents, train), self._batch(contents, held), noise)
        self._names = {"train": picked(contents.names, train), "held_out": picked(contents.names, held)}
        self.notes += contents.notes

    @abstractmethod
    def learn(self, path: str, training: Training, /) -> tuple[dict[str, Any], Contents]:
        """Read a training file; return what its training rows teach, as plain values, and all that it holds."""

    @abstractmethod
    def read(self, path: str, values: dict[str, Any], labeled: bool, /) -> Contents:
        """Read another file by the values of the training file; InputError if it does not fit them.

        labeled: whether its rows need the labels that the training file has, if any.
        """

    @abstractmethod
    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n *event"]:
        """Return rows in the file's own units as states."""

    def record(self) -> DataRecord:
        """What training learned from the file, for the run's folder."""
        if self._record is not None and self._record.purpose != "units":
            return self._record
        numbers, y = self._held_out
        held_out = {"numbers": torch.from_numpy(np.ascontiguousarray(numbers))}
        if y is not None:
            held_out["y"] = torch.from_numpy(y)
        values = self.values | {"settings": self._settings, "held_out_names": self._names["held_out"]}
        target = f"{type(self).__module__}.{type(self).__qualname__}"
        return DataRecord(target, self._path, values, self._fingerprint, held_out)

    def read_rows(self, path: str) -> FileRows:
        """All rows of another file, in the units that training learned."""
        contents = self.read(path, self.values, False)
        return FileRows(self.encode(contents.numbers), contents.complete, contents.table, contents.notes)

    def split(self, part: Part) -> Batch:
        if part == "train" and part not in self._rows:
            self._rows[part] = self._training_rows()
        return self._rows[part]

    def known(self) -> Batch:
        """The training rows, or the held-out rows of the record that later verbs open the set by."""
        return self.split("train") if self._recorded is None else self._recorded

    def origin(self, part: Part) -> tuple[str, list[Any]] | None:
        """What the file calls the rows of a part."""
        return (self.row_name, self._names[part]) if part in self._names else None

    def _from_record(self, record: DataRecord, path: str, noise: float) -> None:
        """Take the held-out rows from the record, or all rows of another file that is named."""
        fixed = record.values["settings"]
        changed = [key for key, value in self._settings.items() if fixed.get(key, value) != value]
        if changed:
            raise InputError(
                *(f"{key} belongs to the run, where it is {fixed[key]}: it cannot be changed here" for key in changed)
            )
        self.values, self._fingerprint = record.values, record.fingerprint
        self._own_file: Contents | None = None
        self._names["held_out"] = record.values["held_out_names"]
        numbers, y = record.held_out["numbers"].numpy(), record.held_out.get("y")
        held = self._recorded = Batch(x := self.encode(numbers), clean=x, y=None if y is None else y.to(x.device))
        if self._path != record.path:
            contents = self.read(path, record.values, True)
            if contents.fingerprint() == record.fingerprint:
                self._own_file = contents
            else:
                held = self._batch(contents, np.arange(len(contents.numbers)))
                self._names["held_out"] = contents.names
                self.other_file = Path(path).name
                self.notes += [
                    f"all {len(contents.numbers)} rows of {path} are used, in the units of the run's training data",
                    *contents.notes,
                ]
        super().__init__(None, held, noise)

    def _training_rows(self) -> Batch:
        """The training rows of the record's own file, which must be there and unchanged."""
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
                f"{difference(record.fingerprint, contents.fingerprint())}; score=FILE scores its rows as they are now"
            )
        settings = record.values["settings"]
        train, _ = split_rows(len(contents.numbers), settings["held_out"], settings["seed"])
        self._names["train"] = picked(contents.names, train)
        return self._batch(contents, train)

    def _batch(self, contents: Contents, rows: np.ndarray) -> Batch:
        x = self.encode(contents.numbers[rows])
        y = None if contents.y is None else torch.as_tensor(contents.y[rows], device=x.device)
        return Batch(x, clean=x, y=y)


def picked(names: list[Any], rows: np.ndarray) -> list[Any]:
    """The names of these rows."""
    return [names[row] for row in rows]


def difference(then: dict[str, Any], now: dict[str, Any]) -> str:
    """How a file differs from the one that was read in training, in words."""
    for what in ("rows", "columns"):
        if then[what] != now[what]:
            return f"has changed since training, from {then[what]} {what} to {now[what]}"
    return f"has changed since training: its {then['rows']} rows have other values"
