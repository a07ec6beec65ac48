"""A table of the user's own: a CSV or Parquet file, or a 2-D array that numpy saved."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Rows, check_rows, split_rows
from ebm_cli.table_file import is_number, read, wrong_kinds, wrong_names, wrong_spread, wrong_values

LEAST = 10


class Table(Rows):
    """The rows of a file of numbers, each column scaled to mean 0 and standard deviation 1 of the training rows.

    path: .csv, .parquet, or .npy with shape (rows, columns). held_out: share of the rows in (0, 1). noise: jitter
    σ ≥ 0 in the scaled units. seed: of the split. `columns` names the columns; `decode` gives their own units.
    Raises InputError with all that is wrong with the file.
    """

    def __init__(self, path: str, held_out: float, noise: float, seed: int) -> None:
        check_rows(held_out, noise, seed)
        frame = read(path)
        if len(frame) < LEAST:
            raise InputError(f"path={path} must have at least {LEAST} rows, got {len(frame)}")
        self.columns = [str(name) for name in frame.columns]
        train, held = split_rows(len(frame), held_out, seed)
        numbers = [i for i in range(len(self.columns)) if is_number(frame.iloc[:, i])]
        names = [repr(self.columns[i]) for i in numbers]
        values = frame.iloc[:, numbers].to_numpy(float, na_value=np.nan)
        wrong = [*wrong_names(self.columns, frame), *wrong_kinds(frame)]
        wrong += [*wrong_values(values, names), *wrong_spread(values[train], names)]
        if wrong:
            raise InputError(*(f"path={path} {message}" for message in wrong))
        self._mean, self._sd = values[train].mean(0), values[train].std(0)
        scaled = (values - self._mean) / self._sd
        super().__init__(_rows(scaled[train]), _rows(scaled[held]), noise)

    def decode(self, x: Float[Tensor, "n columns"]) -> np.ndarray:
        return x.cpu().double().numpy() * self._sd + self._mean


def _rows(values: np.ndarray) -> Batch:
    x = torch.tensor(values, dtype=torch.get_default_dtype())
    return Batch(x, clean=x)
