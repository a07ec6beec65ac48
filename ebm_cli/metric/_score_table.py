"""The table of the scores of single rows."""

from typing import Any

import numpy as np

from ebm_cli.data import Data, FileData, Split
from ebm_cli.estimate import Estimate

SCORES = "scores.csv"


def score_table(
    e: dict[Split, np.ndarray],
    log_z: Estimate,
    densities: dict[str, dict[Split, np.ndarray]],
    names: tuple[str, list[Any]],
) -> dict[str, Any]:
    """Return one line per row, in the order of the data set: E/T, and log-densities in nats.

    The model has three log-densities, with the value and with each bound of log Z.

    names: the kind of name that rows have, and the name of each row.
    """
    every = np.concatenate(list(e.values()))
    kind, rows = names
    columns: dict[str, Any] = {"part": [part for part, each in e.items() for _ in each], kind: rows, "energy": every}
    log_zs = {"log_density": log_z.value, "pessimistic": log_z.upper, "optimistic": log_z.lower}
    columns |= {name: -every - value for name, value in log_zs.items() if isinstance(value, float)}
    return columns | {name: np.concatenate([each[part] for part in e]) for name, each in densities.items()}


def row_names(data: Data, e: dict[Split, np.ndarray]) -> tuple[str, list[Any]]:
    """Return the names of the rows in the user's file; their numbers within each part for data without a file."""
    origins = [data.origin(part) for part in e] if isinstance(data, FileData) else []
    known = [origin for origin in origins if origin is not None]
    if len(known) < len(e):
        return "row", [row for each in e.values() for row in range(len(each))]
    return known[0][0], [name for _, names in known for name in names]
