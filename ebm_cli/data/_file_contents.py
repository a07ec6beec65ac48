"""The contents of a user's file, and their differences from the training file."""

import hashlib
from typing import Any, NamedTuple

import numpy as np


class Contents(NamedTuple):
    """The contents of a file.

    numbers: complete rows, (rows, *event), in the units of the file.
    y: their labels, if any.
    names: their names in the file.
    complete: True for each row of the file that is complete.
    table: a DataFrame of all columns of the file that describe its rows.
    notes: differences from the training file.
    """

    numbers: np.ndarray
    y: np.ndarray | None
    names: list[Any]
    complete: np.ndarray
    table: Any
    notes: list[str]

    def select(self, rows: np.ndarray) -> "Contents":
        """Return the contents with only these complete rows."""
        y = None if self.y is None else self.y[rows]
        return self._replace(numbers=self.numbers[rows], y=y, names=[self.names[row] for row in rows])

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of rows and of columns, and a hash of all values that are used."""
        digest = hashlib.sha256(np.ascontiguousarray(self.numbers).tobytes())
        if self.y is not None:
            digest.update(self.y.tobytes())
        rows, *event = self.numbers.shape
        return {"rows": rows, "columns": int(np.prod(event)), "sha256": digest.hexdigest()}


def describe_change(then: dict[str, Any], now: dict[str, Any]) -> str:
    """Describe the difference between the fingerprints of a file, now and at training."""
    for what in ("rows", "columns"):
        if then[what] != now[what]:
            return f"has changed since training, from {then[what]} {what} to {now[what]}"
    return f"has changed since training: its {then['rows']} rows have other values"
