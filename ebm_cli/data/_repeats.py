"""Repeated values: data without noise that have no density."""

from ebm_cli.data import Data
from ebm_cli.data._rows import available_rows

# Data repeat if the fraction of distinct rows is lower, or if a coordinate has few values with several rows each.
MIN_DISTINCT_FRACTION = 0.95
MAX_REPEATED_VALUES, MIN_ROWS_PER_VALUE = 64, 4


def repeated_values(data: Data) -> str:
    """Return how rows, or values of a coordinate, of data without noise repeat; empty if they do not."""
    if data.noise > 0 or not data.finite:
        return ""
    rows = available_rows(data).x.flatten(1)
    n_distinct, n_values = len(rows.unique(dim=0)), min(len(column.unique()) for column in rows.T)
    if n_distinct < MIN_DISTINCT_FRACTION * len(rows):
        return f"only {n_distinct} of {len(rows)} rows differ"
    if n_values <= MAX_REPEATED_VALUES and MIN_ROWS_PER_VALUE * n_values <= len(rows):
        return f"a coordinate has only {n_values} values in {len(rows)} rows"
    return ""
