"""A user's table file as a DataFrame."""

import csv
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ebm_cli.check import InputError
from ebm_cli.data._files import existing_path, join_names

if TYPE_CHECKING:
    from pandas import DataFrame, Series
else:
    # pandas takes a while to import, so it is imported when a table is read.
    DataFrame = Series = Any


class HeaderError(ValueError):
    """Raised if a text file has an unexpected line of names, or lacks a line of names.

    header: the option that fits the file.
    """

    def __init__(self, message: str, header: str) -> None:
        super().__init__(message)
        self.header = header


def read_table(path: str, header: str = "names", trained: str | None = None) -> DataFrame:
    """Return the file as a DataFrame; raise InputError if it does not exist or does not match its suffix.

    header: names, or none for a text file without a line of names. Its columns are then called x0, x1, …
    trained: header of the run's training file; None without a run.
    """
    file = existing_path(path)
    if file.is_dir():
        raise InputError(f"path={path} is a folder; a table is a file (pictures in a folder: data=images)")
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(f"path={path} must end in {', '.join(READERS)}")
    try:
        return reader(file, header)
    except UnicodeDecodeError:
        raise InputError(f"path={path} is not text in UTF-8; save it in that encoding") from None
    except HeaderError as error:
        other = {"names": "its first line has names", "none": "it has no line of names"}.get(str(trained))
        differs = other is not None and trained != error.header
        run = f" (in the run's training file, {other}; columns are then matched by position)" if differs else ""
        raise InputError(f"path={path} {error}: type data.header={error.header}{run}") from None
    # The readers raise nearly any exception for a damaged file.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if ragged := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", reason):
            expected, line, found = ragged.groups()
            reason = f"line {line} has {found} values, those before it {expected}; a value with a comma needs quotes"
        raise InputError(f"path={path} cannot be read: {reason[:200]}") from None


def read_csv(path: Path, header: str) -> DataFrame:
    """Read a CSV or TSV file; the delimiter of a CSV file is inferred from its first lines."""
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        head = [line for line in islice(file, 20) if line.strip()]
    if not head:
        raise ValueError("it is empty")
    mark = "\t" if path.suffix.lower() == ".tsv" else delimiter(head)
    names = column_names(head, mark, header)
    # Unless commas separate fields, 1,5 may be a number. 1,234 is ambiguous.
    has_comma = mark != "," and any(re.search(r"\d,(?!\d{3}(?!\d))\d", line) for line in head)
    frame = pd.read_csv(
        path,
        sep=mark,
        decimal="," if has_comma else ".",
        header=None if header == "none" else 0,
        encoding="utf-8-sig",
        skipinitialspace=mark != "\t",
        low_memory=False,
    )
    # pandas renames columns with an empty or a duplicate name.
    frame.columns = names
    return frame


def column_names(head: list[str], mark: str, header: str) -> list[str]:
    """Return the names in the first line, or x0, x1, … for header = none; raise if the line does not fit header."""
    names, *rows = csv.reader(head, delimiter=mark, skipinitialspace=mark != "\t")
    if header == "none":
        are_names = all(name.strip() and not is_number_text(name) for name in names)
        if are_names and rows and any(map(is_number_text, rows[0])):
            first = join_names([repr(name) for name in names], 3)
            raise HeaderError(f"has names in its first line, {first}, which data.header=none takes for a row", "names")
        names, rows = [f"x{i}" for i in range(len(names))], [names, *rows]
    # pandas would silently use the first fields as an index.
    if rows and len(rows[0]) > len(names):
        raise ValueError(f"its first line has {len(names)} names for {len(rows[0])} fields in the next")
    if is_row_of_numbers(names):
        numbers = join_names(names, 3)
        raise HeaderError(f"has no names: its first line must name the columns, got the numbers {numbers}", "none")
    return names


def delimiter(head: list[str]) -> str:
    """Return the mark among , ; tab and | that splits all first lines into the same and largest number of fields."""

    def fields(mark: str) -> int:
        counts = {len(row) for row in csv.reader(head, delimiter=mark)}
        return counts.pop() if len(counts) == 1 else 1

    return max(",;\t|", key=fields)


def is_number_text(text: str) -> bool:
    """Return True if a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_row_of_numbers(names: list[str]) -> bool:
    """Return True if a first line is a row of numbers, unless these are consecutive, such as 0, 1, 2 or years."""
    first = int(names[0]) if names[0].isdecimal() and len(names) > 1 else 0
    return all(map(is_number_text, names)) and names != [str(first + i) for i in range(len(names))]


def read_parquet(path: Path, _header: str) -> DataFrame:
    """Read a Parquet file; an index that pandas stored in it is not a column."""
    import pandas as pd

    return pd.read_parquet(path, engine="pyarrow")


def read_npy(path: Path, _header: str) -> DataFrame:
    """Read an array (rows, columns) with the column names x0, x1, …"""
    import pandas as pd

    with path.open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.ndim != 2:
        raise ValueError(f"its array must have shape (rows, columns), got {array.shape}")
    return pd.DataFrame(array).add_prefix("x")


READERS: dict[str, Callable[[Path, str], DataFrame]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".npy": read_npy,
    ".tsv": read_csv,
}
