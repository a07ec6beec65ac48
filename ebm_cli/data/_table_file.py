"""A user's table file read as numbers, and everything that can be wrong with one, each in a line."""

import csv
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ebm_cli.check import InputError, nearest
from ebm_cli.data import listed, own_path

if TYPE_CHECKING:
    from pandas import DataFrame, Series
else:
    # pandas takes a while to import, so it waits for a table to read.
    DataFrame = Series = Any


class HeaderError(ValueError):
    """A text file has a line of names where none is expected, or none where it is. header: what it has."""

    def __init__(self, message: str, header: str) -> None:
        super().__init__(message)
        self.header = header


def read(path: str, header: str = "names", trained: str | None = None) -> DataFrame:
    """The file as a DataFrame; InputError where it is not there or is not what its suffix says.

    header: none for a text file without a line of names, whose columns are then x0, x1, …
    trained: that of the run's training file, None if there is no run.
    """
    found = own_path(path)
    if found.is_dir():
        raise InputError(f"path={path} is a folder; a table is a file (pictures in a folder: data=images)")
    reader = READERS.get(found.suffix.lower())
    if reader is None:
        raise InputError(f"path={path} must end in {', '.join(READERS)}")
    try:
        return reader(found, header)
    except UnicodeDecodeError:
        raise InputError(f"path={path} is not text in UTF-8; save it in that encoding") from None
    except HeaderError as error:
        other = {"names": "its first line has names", "none": "it has no line of names"}.get(str(trained))
        differs = other is not None and trained != error.header
        run = f" (of the run's training file, {other}; columns are then taken in its order)" if differs else ""
        raise InputError(f"path={path} {error}: type data.header={error.header}{run}") from None
    # On a damaged file the readers raise nearly anything.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if ragged := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", reason):
            reason = "line {1} has {2} values, those before it {0}; a value with a comma needs quotes".format(
                *ragged.groups()
            )
        raise InputError(f"path={path} cannot be read: {reason[:200]}") from None


def read_csv(path: Path, header: str) -> DataFrame:
    """A CSV or TSV file, with a line of names on top or none; a CSV's delimiter is found from its first lines."""
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        head = [line for line in islice(file, 20) if line.strip()]
    if not head:
        raise ValueError("it is empty")
    mark = "\t" if path.suffix.lower() == ".tsv" else delimiter(head)
    names, *rows = csv.reader(head, delimiter=mark, skipinitialspace=mark != "\t")
    if header == "none" and are_texts(names) and any(map(parses, rows[0] if rows else [])):
        shown = listed([repr(name) for name in names], 3)
        raise HeaderError(f"has names in its first line, {shown}, which data.header=none takes for a row", "names")
    if header == "none":
        names, rows = [f"x{i}" for i in range(len(names))], [names, *rows]
    # Without a word, pandas would take the first fields for an index.
    if rows and len(rows[0]) > len(names):
        raise ValueError(f"its first line has {len(names)} names for {len(rows[0])} fields in the next")
    if are_numbers(names):
        numbers = listed(names, 3)
        raise HeaderError(f"has no names: its first line must name the columns, got the numbers {numbers}", "none")
    # Where fields are not cut by commas, 1,5 may be a number; 1,234 alone would not tell which.
    comma = mark != "," and any(re.search(r"\d,(?!\d{3}(?!\d))\d", line) for line in head)
    frame = pd.read_csv(
        path,
        sep=mark,
        decimal="," if comma else ".",
        header=None if header == "none" else 0,
        encoding="utf-8-sig",
        skipinitialspace=mark != "\t",
        low_memory=False,
    )
    # As the file has them: pandas renames those that are empty or there twice.
    frame.columns = names
    return frame


def delimiter(head: list[str]) -> str:
    """Of , ; tab and | the one that cuts the first lines into as many fields each, and the most; else the comma."""

    def fields(mark: str) -> int:
        counts = {len(row) for row in csv.reader(head, delimiter=mark)}
        return counts.pop() if len(counts) == 1 else 1

    return max(",;\t|", key=fields)


def parses(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def are_texts(names: list[str]) -> bool:
    """Whether no field of a first line is a number or empty, as in a line of names."""
    return all(name.strip() and not parses(name) for name in names)


def by_position(frame: DataFrame, names: list[str]) -> tuple[DataFrame, list[str]]:
    """The frame with its columns under the names of the training file, in their order, and a note that says so.

    InputError unless the file has exactly one column for each name.
    """
    present, known = [str(name) for name in frame.columns], [repr(name) for name in names]
    if len(present) != len(names):
        raise InputError(
            f"has {len(present)} columns for the run's {len(names)}, {listed(known)}, and they can only be taken in "
            "order: give the file the names of the run's training file, as that has them"
        )
    shown = listed([f"{own!r} is {name}" if own != name else name for own, name in zip(present, known, strict=True)])
    return frame.set_axis(names, axis=1), [f"has its columns taken in the run's order: {shown}"]


def are_numbers(names: list[str]) -> bool:
    """Whether a first line is a row of numbers, and not names such as 0, 1, 2 or years that count upwards."""
    first = int(names[0]) if names[0].isdecimal() and len(names) > 1 else 0
    return all(map(parses, names)) and names != [str(first + i) for i in range(len(names))]


def read_parquet(path: Path, _header: str) -> DataFrame:
    """A Parquet file; an index that pandas kept in it is no column."""
    import pandas as pd

    return pd.read_parquet(path, engine="pyarrow")


def read_npy(path: Path, _header: str) -> DataFrame:
    """An array (rows, columns); its columns are x0, x1, …"""
    import pandas as pd

    with path.open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.ndim != 2:
        raise ValueError(f"its array must have shape (rows, columns), got {array.shape}")
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])


READERS: dict[str, Callable[[Path, str], DataFrame]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".npy": read_npy,
    ".tsv": read_csv,
}


def is_number(column: Series) -> bool:
    """Whether a column holds real numbers."""
    from pandas.api import types

    return types.is_any_real_numeric_dtype(column.dtype)


def columns_of(frame: DataFrame, names: list[str]) -> DataFrame:
    """These columns, in this order."""
    return frame.loc[:, names]


def column_of(frame: DataFrame, name: str) -> Series:
    """One column."""
    return frame.loc[:, name]


def wrong_names(names: list[str], frame: DataFrame) -> list[str]:
    """Columns without a name, among them an index that pandas wrote, and names that are there twice."""
    if not names:
        return ["holds no columns"]
    wrong = []
    for i, name in enumerate(names):
        if not name.strip() or re.fullmatch(r"Unnamed: \d+", name):
            column = frame.iloc[:, i]
            counts = is_number(column) and np.array_equal(column.to_numpy(), np.arange(len(frame)))
            what = f", only the row numbers 0…{len(frame) - 1} that pandas wrote" if counts else ""
            wrong.append(f"has no name for column {i + 1}{what}: drop it" + ("" if counts else " or name it"))
    named = [name for name in names if name.strip()]
    twice = [repr(name) for name in dict.fromkeys(named) if named.count(name) > 1]
    if twice:
        wrong.append(f"has more than one column of the name {listed(twice)}")
    return wrong


def wrong_kinds(frame: DataFrame) -> list[str]:
    """Columns that are not numbers, each with a value that shows it."""
    found = []
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if not is_number(column):
            texts = [str(value) for value in column.dropna()]
            shown = next((text for text in texts if not parses(text)), texts[0] if texts else "empty")
            found.append(f"{str(frame.columns[i])!r} ({shown[:20]!r})")
    if not found:
        return []
    return [
        f"has columns that are not numbers: {listed(found)}; categorical columns are not supported yet: leave them out "
        "with data.columns=[…], name one as data.label, or encode them as numbers"
    ]


def wrong_values(values: Float[np.ndarray, "n columns"], names: list[str]) -> list[str]:
    """Rows with missing or infinite values, and where these are."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return []
    where = [name for name, column in zip(names, bad.T, strict=True) if column.any()]
    rows = int(bad.any(1).sum())
    return [
        f"has missing or infinite values in {rows} of {len(values)} rows, in the columns {listed(where)}: type "
        "data.missing=drop to leave these rows out, or fill the values first"
    ]


def wrong_spread(train: Float[np.ndarray, "n columns"], names: list[str]) -> list[str]:
    """Columns that cannot be scaled: constant, or out of reach of float64."""
    constant = np.fmin.reduce(train) == np.fmax.reduce(train)
    with np.errstate(all="ignore"):
        sd = train.std(0)
    beyond = ~constant & np.isfinite(train).all(0) & ~((sd > 0) & np.isfinite(sd))
    wrong = []
    for mask, what in ((constant, "constant"), (beyond, "too large or too close to constant to be scaled")):
        found = [name for name, is_so in zip(names, mask, strict=True) if is_so]
        if found:
            wrong.append(f"has columns that are {what} over the {len(train)} training rows, {listed(found)}: drop them")
    return wrong


def wrong_matches(frame: DataFrame, names: Sequence[str]) -> list[str]:
    """Columns that are asked for by name, and are not there or are there twice."""
    present = [str(name) for name in frame.columns]
    absent = [name for name in dict.fromkeys(names) if name not in present]
    twice = [repr(name) for name in dict.fromkeys(names) if present.count(name) > 1]
    wrong = []
    if absent:
        hint = nearest(absent[0], present) or f"; its columns are {listed([repr(name) for name in present])}"
        wrong.append(f"has no column {listed([repr(name) for name in absent])}{hint}")
    if twice:
        wrong.append(f"has more than one column of the name {listed(twice)}")
    return wrong


def differences(
    frame: DataFrame, names: list[str], known: list[str], numbers: Float[np.ndarray, "n columns"]
) -> list[str]:
    """How a file's columns differ from those of the training data, if they do, a sentence per difference.

    names: the columns that are modeled. known: these and the label. numbers: their values in this file.
    """
    present = [str(name) for name in frame.columns]
    extra = [repr(name) for name in present if name not in known]
    notes = []
    if extra:
        notes.append(f"has columns that the run does not model, {listed(extra)}: they play no part")
    if [name for name in present if name in names] != names:
        notes.append("has its columns in another order than the training data: they are matched by name")
    if len(numbers) > 1:
        constant = [repr(name) for name, each in zip(names, numbers.T, strict=True) if each.min() == each.max()]
        if constant:
            notes.append(f"has columns that are constant here but were not in training, {listed(constant)}")
    return notes


def label_texts(column: Series) -> list[str]:
    """The labels as text: whole numbers without a point, so that 1 and 1.0 are one level."""
    return [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in column.tolist()]


def levels_of(column: Series) -> list[str]:
    """The levels of a label: whole numbers by size, others by name."""
    found = set(label_texts(column))
    return sorted(found, key=lambda text: (0, int(text), "") if text.lstrip("-").isdecimal() else (1, 0, text))


def wrong_labels(column: Series) -> list[str]:
    """Rows without a label."""
    n = int(column.isna().sum())
    return [f"has no label in {n} of {len(column)} rows: type data.missing=drop to leave these rows out"] if n else []


def unseen_levels(column: Series, levels: list[str]) -> list[str]:
    """Levels of a label that training did not see."""
    new = [repr(level) for level in levels_of(column.dropna()) if level not in levels]
    if not new:
        return []
    return [f"has levels of {str(column.name)!r} that training did not see, {listed(new)}; it saw {listed(levels)}"]
