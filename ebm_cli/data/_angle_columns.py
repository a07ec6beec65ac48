"""Columns of angles: rows of angles in radians or degrees as states in [−π, π)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import _angles
from ebm_cli.data._number_columns import NumberColumns
from ebm_cli.data._table_file import DataFrame

# Full turn in each unit.
TURNS = {"radians": 2 * math.pi, "degrees": 360.0}


@dataclass(frozen=True)
class AngleColumns(NumberColumns):
    """The columns of a file that are modeled, as angles. unit: radians or degrees."""

    unit: str

    def training_faults(self, rows: np.ndarray) -> list[str]:  # noqa: ARG002
        """Report nothing: angles are not scaled."""
        return []

    def learn(self, complete: np.ndarray, training: np.ndarray) -> dict[str, Any]:  # noqa: ARG002
        """Return the unit."""
        return {"angles": self.unit}

    def notes(self) -> list[str]:
        """Return a note about numbers that are not in the range from −½ to ½ of a turn, if there are any."""
        numbers, half = self._numbers[np.isfinite(self._numbers)], TURNS[self.unit] / 2
        count = int(((numbers < -half) | (numbers >= half)).sum())
        ends = "[−π, π)" if self.unit == "radians" else "[−180°, 180°)"
        return [f"has {count:,} angles outside of {ends}, which are turned back into it"] if count else []


@dataclass(frozen=True)
class AngleUnits:
    """Rows of angles as states: angles in radians in [−π, π). values: those that training learned."""

    values: dict[str, Any]

    space = _angles.SPACE

    @property
    def unit(self) -> str:
        return f"angles in {self.values['angles']}"

    @property
    def scale(self) -> float:
        """Return the number of the file's units in a radian."""
        return TURNS[self.values["angles"]] / _angles.PERIOD

    @property
    def log_unit(self) -> float:
        return len(self.values["columns"]) * math.log(self.scale)

    def columns(self, features: DataFrame) -> AngleColumns:
        """Return the columns of another file."""
        return AngleColumns(features, self.values["angles"])

    def parse(self, rows: np.ndarray) -> np.ndarray:
        """Return the same rows."""
        return rows

    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n columns"]:
        return _angles.wrap(torch.tensor(numbers / self.scale, dtype=torch.get_default_dtype()))

    def decode(self, x: Float[Tensor, "n columns"]) -> np.ndarray:
        return x.cpu().double().numpy() * self.scale
