"""A table of the user's own: a CSV, TSV or Parquet file, or a 2-D array that numpy saved."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE, DataRecord, IncompleteRows
from ebm_cli.data._angle_columns import TURNS, AngleColumns, AngleUnits
from ebm_cli.data._category_columns import CategoryColumns, CategoryUnits
from ebm_cli.data._file_contents import Contents
from ebm_cli.data._files import raise_faults
from ebm_cli.data._labels import label_texts, levels_of, missing_label_faults, new_level_faults
from ebm_cli.data._number_columns import NumberColumns, NumberUnits
from ebm_cli.data._table_columns import check_columns, columns_by_position, dropped_rows_notes
from ebm_cli.data._table_faults import (
    column_differences,
    is_word_column,
    match_faults,
    name_faults,
)
from ebm_cli.data._table_file import DataFrame, read_table
from ebm_cli.data._user_file import TrainingRows, UserFile

MIN_ROWS = 10


class Table(UserFile):
    """The rows of a file of numbers, each column scaled to mean 0 and standard deviation 1 of the training rows.

    If all columns are words, the rows are of categories: see `CategoryUnits`. With `angles`, all columns are angles, in
    [−π, π) and not scaled.

    path: .csv, .tsv, .parquet, or .npy with shape (rows, columns).
    columns: names of the columns to model, None for all except the label.
    angles: radians or degrees, the unit of columns of angles; None for columns of other numbers or of words.
    label: name of a column of classes, None for no label. Its levels are numbered in sorted order.
    header: names (the first line of a text file names the columns) or none (they are called x0, x1, …).
    missing: refuse rows with missing or infinite values, or drop them.
    holdout_fraction: fraction of the rows that is held out (in (0, 1)).
    noise: σ of Gaussian noise in the scaled units (≥ 0; 0 for categories).
    seed: seed of the split.
    record: record of an earlier run. Its columns, location and scale are used instead of the file's; columns are
        matched by name.

    Raises InputError with all faults of the file.
    """

    row_name = "row"

    def __init__(
        self,
        path: str,
        columns: list[str] | None,
        angles: str | None,
        label: str | None,
        header: str,
        missing: str,
        holdout_fraction: float,
        noise: float,
        seed: int,
        record: DataRecord | None,
    ) -> None:
        check.every(
            lambda: check.one_of("header", header, ["names", "none"]),
            lambda: check.one_of("missing", missing, ["refuse", "drop"]),
            lambda: check_columns(columns),
            lambda: None if angles is None else check.one_of("angles", angles, list(TURNS)),
        )
        # YAML gives names such as 2024 as numbers.
        self._chosen = None if columns is None else [str(name) for name in columns]
        self._label = None if label is None else str(label)
        self._angles = angles
        self._header, self._drops_missing = header, missing == "drop"
        settings = {"columns": self._chosen, "label": self._label, "angles": self._angles}
        super().__init__(str(path), holdout_fraction, noise, seed, record, settings)
        self.space = self._units.space
        if self.space in DISCRETE and noise:
            raise InputError(f"noise must be 0 for a table of categories, got {noise}")

    @property
    def columns(self) -> list[str]:
        """The names of the coordinates, in their order."""
        return self.values["columns"]

    @property
    def levels(self) -> list[str] | None:
        """The levels of the label, by number; None without a label."""
        return self.values["levels"]

    @property
    def unit(self) -> str:
        return self._units.unit

    @property
    def log_unit(self) -> float:
        return self._units.log_unit

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def _units(self) -> NumberUnits | CategoryUnits | AngleUnits:
        return units_of(self.values)

    def parse(self, rows: np.ndarray) -> np.ndarray:
        return self._units.parse(super().parse(rows))

    def decode(self, x: Tensor) -> np.ndarray:
        return self._units.decode(x)

    def encode(self, numbers: np.ndarray) -> Tensor:
        return self._units.encode(numbers)

    def learn(self, path: str, training: TrainingRows) -> tuple[dict[str, Any], Contents]:
        frame = read_table(path, self._header)
        if len(frame) < MIN_ROWS:
            raise InputError(f"path={path} must have at least {MIN_ROWS} rows, got {len(frame)}")
        features = self._features(frame, path)
        names, columns = [str(name) for name in features.columns], columns_of(features, self._angles)
        is_complete = self._is_complete(frame, columns, True)
        complete = np.flatnonzero(is_complete)
        faults = [*name_faults(names, features), *columns.kind_faults()]
        if not self._drops_missing:
            faults += columns.missing_faults()
            faults += [] if self._label is None else missing_label_faults(frame.loc[:, self._label])
        if self._drops_missing and len(complete) < MIN_ROWS:
            faults.append(f"must have at least {MIN_ROWS} rows without missing values, got {len(complete)}")
        else:
            kept = complete if self._drops_missing else np.arange(len(frame))
            faults += columns.training_faults(kept[training(len(kept))])
        raise_faults(path, faults)
        values = {
            "columns": names,
            "types": [str(dtype) for dtype in features.dtypes],
            **columns.learn(complete, complete[training(len(complete))]),
            "levels": None if self._label is None else levels_of(frame.loc[is_complete, self._label]),
            "header": self._header,
        }
        numbers = columns.numbers(values)
        notes = [f"path={path} {note}" for note in columns.notes()] + dropped_rows_notes(path, is_complete)
        return values, self._contents(frame, numbers, is_complete, values["levels"], notes)

    def read(self, path: str, values: dict[str, Any], labeled: bool) -> Contents:
        label = self._label if labeled else None
        names = values["columns"]
        frame, notes = self._read_matching(path, values, label)
        if not len(frame):
            raise InputError(f"path={path} has no rows below its first line")
        raise_faults(path, match_faults(frame, names if label is None else [*names, label]))
        columns = units_of(values).columns(frame.loc[:, names])
        faults = columns.match_faults(values)
        if not self._drops_missing and not faults:
            faults = columns.missing_faults()
        if label is not None:
            faults += new_level_faults(frame.loc[:, label], values["levels"])
        raise_faults(path, faults)
        is_complete = self._is_complete(frame, columns, labeled)
        numbers = columns.numbers(values)
        used = names if self._label is None else [*names, self._label]
        notes += [*column_differences(frame, names, used, numbers[is_complete]), *columns.notes()]
        if not labeled and self._label in [str(name) for name in frame.columns]:
            # Scores do not use labels, so a new level is only reported.
            notes += new_level_faults(frame.loc[:, self._label], values["levels"])
        notes = [f"path={path} {note}" for note in notes] + dropped_rows_notes(path, is_complete)
        return self._contents(frame, numbers, is_complete, values["levels"] if labeled else None, notes)

    def read_incomplete(self, path: str) -> IncompleteRows:
        """Return the rows of another file that have empty cells. Raises InputError for a file that does not fit."""
        values = self.values
        frame, _ = self._read_matching(path, values, None)
        raise_faults(path, match_faults(frame, values["columns"]))
        features = frame.loc[:, values["columns"]]
        columns = units_of(values).columns(with_empty_numbers(features) if self.space not in DISCRETE else features)
        raise_faults(path, columns.match_faults(values))
        present, empty = columns.is_present(), features.isna().to_numpy(bool)
        if infinite := [
            str(name) for name, column in zip(features, (~present & ~empty).T, strict=True) if column.any()
        ]:
            names = ", ".join(infinite)
            raise InputError(f"path={path} has infinite values in {names}. Leave a cell empty if it is to be drawn")
        numbers = np.flatnonzero(~present.all(1))
        x = self.encode(columns.numbers(values)[numbers])
        missing = torch.from_numpy(~present[numbers]).to(x.device)
        x[missing] = torch.nan
        return IncompleteRows(x, numbers, features)

    def _read_matching(self, path: str, values: dict[str, Any], label: str | None) -> tuple[DataFrame, list[str]]:
        """Return another file with the column names of the run, and a note if columns are matched by position.

        That is done if only a single file of both has names, and `header` is set accordingly.
        """
        # A run of an older version did not store the header of its file.
        trained = values.get("header", self._header)
        if self._record is not None and self._record.purpose == "rows" and path == self._record.path:
            return read_table(path, trained), []
        frame = read_table(path, self._header, trained)
        names = values["columns"] if label is None else [*values["columns"], label]
        if trained == self._header or set(names) <= {str(name) for name in frame.columns}:
            return frame, []
        return columns_by_position(path, frame, names)

    def _features(self, frame: DataFrame, path: str) -> DataFrame:
        """Return the columns to model, in the order in which they are chosen or stand in the file."""
        chosen, label = self._chosen, self._label
        faults = match_faults(frame, [*(chosen or []), *([] if label is None else [label])])
        if chosen is not None and label in chosen:
            faults.append(f"cannot have {label!r} both as label and among the columns")
        raise_faults(path, faults)
        return frame.loc[:, [str(name) != label for name in frame.columns] if chosen is None else chosen]

    def _is_complete(self, frame: DataFrame, columns: NumberColumns | CategoryColumns, labeled: bool) -> np.ndarray:
        """Return True for each row without missing or infinite values in the columns that are used."""
        complete = columns.is_present().all(1)
        if labeled and self._label is not None:
            complete = complete & frame.loc[:, self._label].notna().to_numpy(bool)
        return np.asarray(complete)

    def _contents(
        self, frame: DataFrame, numbers: np.ndarray, complete: np.ndarray, levels: list[str] | None, notes: list[str]
    ) -> Contents:
        y = None
        if levels is not None:
            number_of = {level: i for i, level in enumerate(levels)}
            texts = label_texts(frame.loc[complete, self._label])
            y = np.array([number_of[text] for text in texts], dtype=np.int64)
        return Contents(numbers[complete], y, np.flatnonzero(complete).tolist(), complete, frame, notes)


def columns_of(features: DataFrame, angles: str | None) -> NumberColumns | CategoryColumns:
    """Return columns as angles of this unit if there is one; otherwise as categories if all of them are words."""
    if angles is not None:
        return AngleColumns(features, angles)
    are_words = [is_word_column(column) for _, column in features.items()]
    return CategoryColumns(features) if are_words and all(are_words) else NumberColumns(features)


def units_of(values: dict[str, Any]) -> NumberUnits | CategoryUnits | AngleUnits:
    """Return the units of states by the values that training learned."""
    if "angles" in values:
        return AngleUnits(values)
    return CategoryUnits(values) if "categories" in values else NumberUnits(values)


def with_empty_numbers(features: DataFrame) -> DataFrame:
    """Return columns of numbers, in which a column without any value is one of missing numbers."""
    empty = [name for name, column in features.items() if column.isna().all()]
    return features.astype(dict.fromkeys(empty, float))
