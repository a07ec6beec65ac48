"""A table of the user's own: a CSV, TSV or Parquet file, or a 2-D array that numpy saved."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord
from ebm_cli.data._file_contents import Contents
from ebm_cli.data._files import raise_faults
from ebm_cli.data._labels import label_texts, levels_of, missing_label_faults, new_level_faults
from ebm_cli.data._table_columns import check_columns, columns_by_position, dropped_rows_notes
from ebm_cli.data._table_faults import (
    column_differences,
    is_number_column,
    kind_faults,
    match_faults,
    name_faults,
    scale_faults,
    value_faults,
)
from ebm_cli.data._table_file import DataFrame, read_table
from ebm_cli.data._user_file import TrainingRows, UserFile

MIN_ROWS = 10


class Table(UserFile):
    """The rows of a file of numbers, each column scaled to mean 0 and standard deviation 1 of the training rows.

    path: .csv, .tsv, .parquet, or .npy with shape (rows, columns).
    columns: names of the columns to model, None for all except the label.
    label: name of a column of classes, None for no label. Its levels are numbered in sorted order.
    header: names (the first line of a text file names the columns) or none (they are called x0, x1, …).
    missing: refuse rows with missing or infinite values, or drop them.
    holdout_fraction: fraction of the rows that is held out (in (0, 1)).
    noise: σ of Gaussian noise in the scaled units (≥ 0).
    seed: seed of the split.
    record: record of an earlier run. Its columns, location and scale are used instead of the file's; columns are
        matched by name.

    Raises InputError with all faults of the file.
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
        holdout_fraction: float,
        noise: float,
        seed: int,
        record: DataRecord | None,
    ) -> None:
        check.every(
            lambda: check.one_of("header", header, ["names", "none"]),
            lambda: check.one_of("missing", missing, ["refuse", "drop"]),
            lambda: check_columns(columns),
        )
        # YAML gives names such as 2024 as numbers.
        self._chosen = None if columns is None else [str(name) for name in columns]
        self._label = None if label is None else str(label)
        self._header, self._drops_missing = header, missing == "drop"
        super().__init__(
            str(path), holdout_fraction, noise, seed, record, {"columns": self._chosen, "label": self._label}
        )

    @property
    def columns(self) -> list[str]:
        """The names of the coordinates, in their order."""
        return self.values["columns"]

    @property
    def levels(self) -> list[str] | None:
        """The levels of the label, by number; None without a label."""
        return self.values["levels"]

    @property
    def log_unit(self) -> float:
        return float(np.log(self.values["scale"]).sum())

    def decode(self, x: Float[Tensor, "n columns"]) -> np.ndarray:
        return x.cpu().double().numpy() * np.array(self.values["scale"]) + np.array(self.values["location"])

    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n columns"]:
        scaled = (numbers - np.array(self.values["location"])) / np.array(self.values["scale"])
        return torch.tensor(scaled, dtype=torch.get_default_dtype())

    def learn(self, path: str, training: TrainingRows) -> tuple[dict[str, Any], Contents]:
        frame = read_table(path, self._header)
        if len(frame) < MIN_ROWS:
            raise InputError(f"path={path} must have at least {MIN_ROWS} rows, got {len(frame)}")
        features = self._features(frame, path)
        names = [str(name) for name in features.columns]
        is_number = [is_number_column(column) for _, column in features.items()]
        numbers = features.loc[:, is_number].to_numpy(float, na_value=np.nan)
        number_names = [name for name, is_one in zip(names, is_number, strict=True) if is_one]
        complete = self._complete_rows(frame, numbers, True)
        n_complete = int(complete.sum())
        faults = [*name_faults(names, features), *kind_faults(features)]
        if not self._drops_missing:
            faults += value_faults(numbers, number_names)
            faults += [] if self._label is None else missing_label_faults(frame.loc[:, self._label])
        if self._drops_missing and n_complete < MIN_ROWS:
            faults.append(f"must have at least {MIN_ROWS} rows without missing values, got {n_complete}")
        else:
            kept = numbers[complete] if self._drops_missing else numbers
            faults += scale_faults(kept[training(len(kept))], number_names)
        raise_faults(path, faults)
        rows = numbers[complete][training(n_complete)]
        values = {
            "columns": names,
            "types": [str(dtype) for dtype in features.dtypes],
            "location": rows.mean(0).tolist(),
            "scale": rows.std(0).tolist(),
            "levels": None if self._label is None else levels_of(frame.loc[complete, self._label]),
            "header": self._header,
        }
        return values, self._contents(frame, numbers, complete, values["levels"], dropped_rows_notes(path, complete))

    def read(self, path: str, values: dict[str, Any], labeled: bool) -> Contents:
        label = self._label if labeled else None
        names = values["columns"]
        frame, notes = self._read_matching(path, values, label)
        if not len(frame):
            raise InputError(f"path={path} has no rows below its first line")
        raise_faults(path, match_faults(frame, names if label is None else [*names, label]))
        features = frame.loc[:, names]
        faults = kind_faults(features)
        numbers = np.empty((0, 0)) if faults else features.to_numpy(float, na_value=np.nan)
        if not self._drops_missing and not faults:
            faults = value_faults(numbers, names)
        if label is not None:
            faults += new_level_faults(frame.loc[:, label], values["levels"])
        raise_faults(path, faults)
        complete = self._complete_rows(frame, numbers, labeled)
        used = names if self._label is None else [*names, self._label]
        notes += column_differences(frame, names, used, numbers[complete])
        if not labeled and self._label in [str(name) for name in frame.columns]:
            # Scores do not use labels, so a new level is only reported.
            notes += new_level_faults(frame.loc[:, self._label], values["levels"])
        notes = [f"path={path} {note}" for note in notes] + dropped_rows_notes(path, complete)
        return self._contents(frame, numbers, complete, values["levels"] if labeled else None, notes)

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

    def _complete_rows(self, frame: DataFrame, numbers: np.ndarray, labeled: bool) -> np.ndarray:
        """Return True for each row without missing or infinite values in the columns that are used."""
        complete = np.isfinite(numbers).all(1)
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
