"""Columns of categories: their faults, their levels, and rows of levels as one-hot states."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data._files import join_names
from ebm_cli.data._labels import label_texts, levels_of, new_level_faults
from ebm_cli.data._sites import Sites
from ebm_cli.data._table_faults import missing_faults
from ebm_cli.data._table_file import DataFrame, Series

# A column with more levels names rows, as an identifier or a date does.
MAX_LEVELS = 100


@dataclass(frozen=True)
class CategoryColumns:
    """The columns of a file that are modeled, as texts."""

    features: DataFrame

    @property
    def names(self) -> list[str]:
        """Return the names of the columns."""
        return [str(name) for name in self.features.columns]

    @cached_property
    def columns(self) -> list[Series]:
        """Return each column."""
        return [column for _, column in self.features.items()]

    def is_present(self) -> np.ndarray:
        """Return True for each value that is not missing, (rows, columns)."""
        return self.features.notna().to_numpy(bool)

    def kind_faults(self) -> list[str]:
        """Report columns with too many levels to be categories."""
        many = [
            f"{name!r} ({n} levels)"
            for name, column in zip(self.names, self.columns, strict=True)
            if (n := column.nunique()) > MAX_LEVELS
        ]
        if not many:
            return []
        return [
            f"has columns with more levels than {MAX_LEVELS}, which name rows rather than categories: "
            f"{join_names(many)}; leave them out with data.columns=[…]"
        ]

    def missing_faults(self) -> list[str]:
        """Report rows with missing values, and their columns."""
        return missing_faults(~self.is_present(), self.names, "missing values")

    def training_faults(self, rows: np.ndarray) -> list[str]:
        """Report columns with a single level in these training rows."""
        training = [(name, column.iloc[rows].dropna()) for name, column in zip(self.names, self.columns, strict=True)]
        constant = [
            f"{name!r} ({label_texts(column)[0][:20]!r})" if len(column) else f"{name!r} (empty)"
            for name, column in training
            if column.nunique() < 2
        ]
        if not constant:
            return []
        return [f"has columns that are constant over the {len(rows)} training rows, {join_names(constant)}: drop them"]

    def learn(self, complete: np.ndarray, training: np.ndarray) -> dict[str, Any]:  # noqa: ARG002
        """Return the levels of each column in the complete rows. A rare level can be in held-out rows only."""
        return {"categories": [levels_of(column.iloc[complete]) for column in self.columns]}

    def match_faults(self, values: dict[str, Any]) -> list[str]:
        """Report levels that the training file did not have."""
        return [
            fault
            for column, levels in zip(self.columns, values["categories"], strict=True)
            for fault in new_level_faults(column, levels)
        ]

    def numbers(self, values: dict[str, Any]) -> Int[np.ndarray, "rows columns"]:
        """Return the number of each level; 0 for missing values."""
        found = []
        for column, levels in zip(self.columns, values["categories"], strict=True):
            number_of = {level: number for number, level in enumerate(levels)}
            found.append([number_of.get(text, 0) for text in label_texts(column)])
        return np.array(found, dtype=np.int64).T

    def notes(self) -> list[str]:
        """Return notes about the levels: none."""
        return []


@dataclass(frozen=True)
class CategoryUnits:
    """Rows of levels as states: each column is one site, a one-hot vector of k categories.

    k is the largest number of levels of a column. A column with fewer levels has categories without a level: no row of
    the file has them, and `decode` gives an empty text. values: those that training learned.
    """

    values: dict[str, Any]

    space = "categorical"
    unit = "rows of categories"
    log_unit = 0.0

    @property
    def levels(self) -> list[list[str]]:
        """Return the levels of each column, by number."""
        return self.values["categories"]

    @property
    def sites(self) -> Sites:
        """Return the columns as sites of a state."""
        return Sites(self.space, (len(self.levels), max(2, *map(len, self.levels))))

    def columns(self, features: DataFrame) -> CategoryColumns:
        """Return the columns of another file."""
        return CategoryColumns(features)

    def parse(self, rows: np.ndarray) -> Int[np.ndarray, "n columns"]:
        """Return rows of texts as numbers of levels; raise InputError for levels that training did not have."""
        import pandas as pd

        columns = CategoryColumns(pd.DataFrame(rows, columns=self.values["columns"]))
        if faults := columns.match_faults(self.values):
            raise InputError(*(f"rows {fault}" for fault in faults))
        return columns.numbers(self.values)

    def encode(self, numbers: Int[np.ndarray, "n columns"]) -> Float[Tensor, "n columns k"]:
        return self.sites.states(torch.from_numpy(numbers), torch.get_default_dtype()).to(torch.get_default_device())

    def decode(self, x: Float[Tensor, "n columns k"]) -> np.ndarray:
        texts = np.full((len(self.levels), self.sites.values), "", dtype=object)
        for i, levels in enumerate(self.levels):
            texts[i, : len(levels)] = levels
        return texts[np.arange(len(self.levels)), self.sites.numbers(x).cpu().numpy()]
