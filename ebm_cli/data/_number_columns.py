"""Columns of numbers: their faults, their location and scale, and rows of numbers as states."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data._table_faults import is_number_column, kind_faults, missing_faults, scale_faults
from ebm_cli.data._table_file import DataFrame


@dataclass(frozen=True)
class NumberColumns:
    """The columns of a file that are modeled, as numbers."""

    features: DataFrame

    @cached_property
    def _numbers(self) -> Float[np.ndarray, "rows columns"]:
        """Return all columns of numbers, with NaN for missing values."""
        is_number = [is_number_column(column) for _, column in self.features.items()]
        return self.features.loc[:, is_number].to_numpy(float, na_value=np.nan)

    @property
    def names(self) -> list[str]:
        """Return the names of the columns of numbers."""
        return [str(name) for name, column in self.features.items() if is_number_column(column)]

    def is_present(self) -> np.ndarray:
        """Return True for each value that is finite, (rows, columns)."""
        return np.isfinite(self._numbers)

    def kind_faults(self) -> list[str]:
        """Report columns that are not numbers."""
        return kind_faults(self.features)

    def missing_faults(self) -> list[str]:
        """Report rows with missing or infinite values, and their columns."""
        return missing_faults(~self.is_present(), self.names, "missing or infinite values")

    def training_faults(self, rows: np.ndarray) -> list[str]:
        """Report columns that cannot be scaled by these training rows."""
        return scale_faults(self._numbers[rows], self.names)

    def learn(self, complete: np.ndarray, training: np.ndarray) -> dict[str, Any]:  # noqa: ARG002
        """Return the mean and the standard deviation of each column over the training rows."""
        numbers = self._numbers[training]
        return {"location": numbers.mean(0).tolist(), "scale": numbers.std(0).tolist()}

    def match_faults(self, values: dict[str, Any]) -> list[str]:  # noqa: ARG002
        """Report columns that are not numbers."""
        return self.kind_faults()

    def numbers(self, values: dict[str, Any]) -> Float[np.ndarray, "rows columns"]:  # noqa: ARG002
        """Return the rows in the units of the file; NaN for missing values."""
        return self._numbers

    def notes(self) -> list[str]:
        """Return notes about the numbers: none."""
        return []


@dataclass(frozen=True)
class NumberUnits:
    """Rows of numbers x as states (x − location)/scale. values: those that training learned."""

    values: dict[str, Any]

    space = "continuous"
    unit = "the file's own units"

    @property
    def log_unit(self) -> float:
        return float(np.log(self.values["scale"]).sum())

    def columns(self, features: DataFrame) -> NumberColumns:
        """Return the columns of another file."""
        return NumberColumns(features)

    def parse(self, rows: np.ndarray) -> np.ndarray:
        """Return the same rows."""
        return rows

    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n columns"]:
        scaled = (numbers - np.array(self.values["location"])) / np.array(self.values["scale"])
        return torch.tensor(scaled, dtype=torch.get_default_dtype())

    def decode(self, x: Float[Tensor, "n columns"]) -> np.ndarray:
        return x.cpu().double().numpy() * np.array(self.values["scale"]) + np.array(self.values["location"])
