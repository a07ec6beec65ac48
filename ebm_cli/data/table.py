"""A table of the user's own: a CSV, TSV or Parquet file, or a 2-D array that numpy saved."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord, listed
from ebm_cli.data._table_file import (
    DataFrame,
    by_position,
    column_of,
    columns_of,
    differences,
    is_number,
    label_texts,
    levels_of,
    read,
    unseen_levels,
    wrong_kinds,
    wrong_labels,
    wrong_matches,
    wrong_names,
    wrong_spread,
    wrong_values,
)
from ebm_cli.data._user_file import Contents, Training, UserFile

LEAST = 10


class Table(UserFile):
    """The rows of a file of numbers, each column scaled to mean 0 and standard deviation 1 of the training rows.

    path: .csv, .tsv, .parquet, or .npy with shape (rows, columns). columns: the names of those to model, None for all
    but the label. label: the name of a column of classes, None for none; its levels are numbered in sorted order.
    header: names (the first line of a text file names the columns) or none (they are called x0, x1, …). missing: refuse
    rows with missing or infinite values, or drop them. held_out: fraction of the rows, in (0, 1). noise: jitter σ ≥ 0
    in the scaled units. seed: of the split. record: of an earlier run, whose columns, location and scale are used
    instead of the file's own; columns are matched by name. Raises InputError with all that is wrong with the file.
    """

    row_name = "row"
    unit = "the file's own units"

    def __init__(
        self,
        path: str,
        columns: list[str] | None,
        label: str | None,
        header: str,
        missing: str,
        held_out: float,
        noise: float,
        seed: int,
        record: DataRecord | None,
    ) -> None:
        check.every(
            lambda: check.one_of("header", header, ["names", "none"]),
            lambda: check.one_of("missing", missing, ["refuse", "drop"]),
            lambda: check_columns(columns),
        )
        # Names such as 2024 arrive as numbers.
        self._chosen = None if columns is None else [str(name) for name in columns]
        self._label = None if label is None else str(label)
        self._header, self._missing = header, missing
        super().__init__(str(path), held_out, noise, seed, record, {"columns": self._chosen, "label": self._label})

    @property
    def columns(self) -> list[str]:
        """The names of the coordinates, in their order."""
        return self.values["columns"]

    @property
    def levels(self) -> list[str] | None:
        """The label's levels, by number; None without a label."""
        return self.values["levels"]

    @property
    def log_unit(self) -> float:
        return float(np.log(self.values["scale"]).sum())

    def decode(self, x: Float[Tensor, "n columns"]) -> np.ndarray:
        return x.cpu().double().numpy() * np.array(self.values["scale"]) + np.array(self.values["location"])

    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n columns"]:
        scaled = (numbers - np.array(self.values["location"])) / np.array(self.values["scale"])
        return torch.tensor(scaled, dtype=torch.get_default_dtype())

    def learn(self, path: str, training: Training) -> tuple[dict[str, Any], Contents]:
        frame = read(path, self._header)
        if len(frame) < LEAST:
            raise InputError(f"path={path} must have at least {LEAST} rows, got {len(frame)}")
        features = self._features(frame, path)
        names = [str(name) for name in features.columns]
        numeric = [i for i in range(len(names)) if is_number(features.iloc[:, i])]
        shown = [repr(names[i]) for i in numeric]
        numbers = features.iloc[:, numeric].to_numpy(float, na_value=np.nan)
        complete = self._complete(frame, numbers)
        wrong = [*wrong_names(names, features), *wrong_kinds(features)]
        if self._missing == "refuse":
            wrong += wrong_values(numbers, shown)
            wrong += [] if self._label is None else wrong_labels(column_of(frame, self._label))
        if self._missing == "drop" and complete.sum() < LEAST:
            wrong.append(f"must have at least {LEAST} rows without missing values, got {complete.sum()}")
        else:
            kept = numbers[complete] if self._missing == "drop" else numbers
            wrong += wrong_spread(kept[training(len(kept))], shown)
        if wrong:
            raise InputError(*(f"path={path} {message}" for message in wrong))
        rows = numbers[complete][training(int(complete.sum()))]
        learned = {
            "columns": names,
            "types": [str(dtype) for dtype in features.dtypes],
            "location": rows.mean(0).tolist(),
            "scale": rows.std(0).tolist(),
            "levels": None if self._label is None else levels_of(column_of(frame, self._label).loc[complete]),
            "header": self._header,
        }
        return learned, self._contents(frame, numbers, complete, learned["levels"], dropped(path, complete))

    def read(self, path: str, values: dict[str, Any], labeled: bool) -> Contents:
        frame, matched = self._matched(path, values, labeled)
        names = values["columns"]
        if not len(frame):
            raise InputError(f"path={path} has no rows below its first line")
        wrong = wrong_matches(frame, [*names, self._label] if labeled and self._label else names)
        if wrong:
            raise InputError(*(f"path={path} {message}" for message in wrong))
        features = columns_of(frame, names)
        numbers = (
            features.to_numpy(float, na_value=np.nan) if not (kinds := wrong_kinds(features)) else np.empty((0, 0))
        )
        wrong += kinds
        if self._missing == "refuse" and not kinds:
            wrong += wrong_values(numbers, [repr(name) for name in names])
        if labeled and self._label is not None:
            wrong += unseen_levels(column_of(frame, self._label), values["levels"])
        if wrong:
            raise InputError(*(f"path={path} {message}" for message in wrong))
        complete = self._complete(frame, numbers, labeled)
        levels = values["levels"] if labeled else None
        known = [*names, *([] if self._label is None else [self._label])]
        notes = [f"path={path} {note}" for note in [*matched, *differences(frame, names, known, numbers[complete])]]
        if not labeled and self._label in [str(name) for name in frame.columns]:
            # Scores use no labels, so that a new level is reported and no more.
            notes += [f"path={path} {note}" for note in unseen_levels(column_of(frame, self._label), values["levels"])]
        return self._contents(frame, numbers, complete, levels, [*notes, *dropped(path, complete)])

    def _matched(self, path: str, values: dict[str, Any], labeled: bool) -> tuple[DataFrame, list[str]]:
        """Another file, its columns under the run's names, and a note if these come from their order.

        They do if one of the two files has names, the other none, and the line says so by `header`.
        """
        # A run of an older version does not say what its file had.
        trained = values.get("header", self._header)
        if self._record is not None and self._record.purpose == "rows" and path == self._record.path:
            return read(path, trained), []
        frame = read(path, self._header, trained)
        names = [*values["columns"], *([self._label] if labeled and self._label is not None else [])]
        if trained == self._header or set(names) <= {str(name) for name in frame.columns}:
            return frame, []
        try:
            return by_position(frame, names)
        except InputError as error:
            raise InputError(f"path={path} {error}") from None

    def _features(self, frame: DataFrame, path: str) -> DataFrame:
        """The columns to model, in the order in which they are chosen or else stand in the file."""
        wanted = [*(self._chosen or []), *([] if self._label is None else [self._label])]
        wrong = wrong_matches(frame, wanted)
        if self._chosen is not None and self._label in self._chosen:
            wrong.append(f"cannot have {self._label!r} both as label and among the columns")
        if wrong:
            raise InputError(*(f"path={path} {message}" for message in wrong))
        if self._chosen is not None:
            return columns_of(frame, self._chosen)
        return (
            frame
            if self._label is None
            else columns_of(frame, [str(n) for n in frame.columns if str(n) != self._label])
        )

    def _complete(self, frame: DataFrame, numbers: np.ndarray, labeled: bool = True) -> np.ndarray:
        """Which rows have no missing or infinite value among those that are used."""
        complete = np.isfinite(numbers).all(1)
        if labeled and self._label is not None:
            complete = complete & column_of(frame, self._label).notna().to_numpy(bool)
        return np.asarray(complete)

    def _contents(
        self, frame: DataFrame, numbers: np.ndarray, complete: np.ndarray, levels: list[str] | None, notes: list[str]
    ) -> Contents:
        y = None
        if levels is not None:
            number = {level: i for i, level in enumerate(levels)}
            y = np.array(
                [number[text] for text in label_texts(column_of(frame, str(self._label)).loc[complete])], dtype=np.int64
            )
        return Contents(numbers[complete], y, np.flatnonzero(complete).tolist(), complete, frame, notes)


def check_columns(columns: Any) -> None:
    """Raise InputError unless `columns` is None or a list of at least one name, none twice."""
    if columns is None:
        return
    if not isinstance(columns, list) or not columns:
        raise InputError(f"columns must be a list of names, '[NAME,NAME]', got {columns!r}")
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise InputError(f"columns must name each column once, got {listed([repr(name) for name in twice])} twice")


def dropped(path: str, complete: np.ndarray) -> list[str]:
    """A note on rows that are left out, if any."""
    n = int((~complete).sum())
    return (
        [f"path={path} has missing or infinite values in {n} of {len(complete)} rows: these are left out"] if n else []
    )
