"""Which columns and rows of a table are used."""

from typing import Any

import numpy as np

from ebm_cli.check import InputError
from ebm_cli.data._files import join_names
from ebm_cli.data._table_faults import quote_names, repeated_names
from ebm_cli.data._table_file import DataFrame


def check_columns(columns: Any) -> None:
    """Raise InputError unless `columns` is None or a list of at least one name, without duplicates."""
    if columns is None:
        return
    if not isinstance(columns, list) or not columns:
        raise InputError(f"columns must be a list of names, '[NAME,NAME]', got {columns!r}")
    if twice := repeated_names(columns):
        raise InputError(f"columns must name each column once, got {quote_names(twice)} twice")


def columns_by_position(path: str, frame: DataFrame, names: list[str]) -> tuple[DataFrame, list[str]]:
    """Return the frame with the names of the training file, in their order, and a note about it.

    Raises InputError unless the file has exactly one column per name.
    """
    present = [str(name) for name in frame.columns]
    if len(present) != len(names):
        raise InputError(
            f"path={path} has {len(present)} columns for the run's {len(names)}, {quote_names(names)}, and they can "
            "only be matched by position: give the columns the names of the run's training file"
        )
    pairs = [
        f"{own!r} is {name!r}" if repr(own) != repr(name) else repr(name)
        for own, name in zip(present, names, strict=True)
    ]
    return frame.set_axis(names, axis=1), [f"has its columns matched by position: {join_names(pairs)}"]


def dropped_rows_notes(path: str, complete: np.ndarray) -> list[str]:
    """Return a note about the rows that are left out, if any."""
    n = int((~complete).sum())
    return (
        [f"path={path} has missing or infinite values in {n} of {len(complete)} rows: they are left out"] if n else []
    )
