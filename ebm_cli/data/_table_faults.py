"""Faults of the columns of a table, and differences from the columns of the training file.

Each function returns messages about the file.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ebm_cli.check import nearest_hint
from ebm_cli.data._files import join_names
from ebm_cli.data._table_file import DataFrame, Series, is_number_text


def is_number_column(column: Series) -> bool:
    """Return True if a column holds real numbers."""
    from pandas.api import types

    return types.is_any_real_numeric_dtype(column.dtype)


def is_word_column(column: Series) -> bool:
    """Return True if a column holds words or truth values. A column of numbers with marks such as ? does not."""
    from pandas.api import types

    kind = types.infer_dtype(column, skipna=True)
    texts = [str(value).replace(",", "") for value in column.dropna().unique()] if kind == "string" else []
    return kind in ("string", "boolean", "categorical") and sum(map(is_number_text, texts)) * 2 <= len(texts)


def quote_names(names: Iterable[str]) -> str:
    """Return the first names in quotes, and how many more there are."""
    return join_names([repr(name) for name in names])


def repeated_names(names: Sequence[str]) -> list[str]:
    """Return each name that occurs more than once."""
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def name_faults(names: list[str], frame: DataFrame) -> list[str]:
    """Report columns without a name, among them an index that pandas wrote, and duplicate names."""
    if not names:
        return ["holds no columns"]
    faults = []
    for i, name in enumerate(names):
        if not name.strip() or re.fullmatch(r"Unnamed: \d+", name):
            column = frame.iloc[:, i]
            is_index = is_number_column(column) and np.array_equal(column.to_numpy(), np.arange(len(frame)))
            what = f", only the row numbers 0…{len(frame) - 1} that pandas wrote" if is_index else ""
            faults.append(f"has no name for column {i + 1}{what}: drop it" + ("" if is_index else " or name it"))
    if twice := repeated_names([name for name in names if name.strip()]):
        faults.append(f"has more than one column of the name {quote_names(twice)}")
    return faults


def kind_faults(frame: DataFrame) -> list[str]:
    """Report columns that are not numbers, each with an example."""
    found = []
    for name, column in frame.items():
        if not is_number_column(column):
            texts = [str(value) for value in column.dropna()]
            example = next((text for text in texts if not is_number_text(text)), texts[0] if texts else "empty")
            found.append(f"{str(name)!r} ({example[:20]!r})")
    if not found:
        return []
    return [
        f"has columns that are not numbers: {join_names(found)}; numbers and categories cannot be mixed: choose "
        "columns by data.columns=[…], name a column as data.label, or write numbers as words to make them categories"
    ]


def missing_faults(bad: Bool[np.ndarray, "n columns"], names: list[str], what: str) -> list[str]:
    """Report rows with values that are missing, and their columns. what: the name of such values."""
    if not bad.any():
        return []
    where = quote_names(np.array(names)[bad.any(0)].tolist())
    return [
        f"has {what} in {int(bad.any(1).sum())} of {len(bad)} rows, in the columns {where}: "
        "type data.missing=drop to leave these rows out, or fill the values first"
    ]


def scale_faults(train: Float[np.ndarray, "n columns"], names: list[str]) -> list[str]:
    """Report columns that cannot be scaled because they are constant or outside of the range of float64."""
    constant = np.fmin.reduce(train) == np.fmax.reduce(train)
    with np.errstate(all="ignore"):
        sd = train.std(0)
    extreme = ~constant & np.isfinite(train).all(0) & ~((sd > 0) & np.isfinite(sd))
    return [
        f"has columns that are {what} over the {len(train)} training rows, "
        f"{quote_names(np.array(names)[mask].tolist())}: drop them"
        for mask, what in ((constant, "constant"), (extreme, "too large or too close to constant to be scaled"))
        if mask.any()
    ]


def match_faults(frame: DataFrame, names: Sequence[str]) -> list[str]:
    """Report requested columns that do not exist or exist more than once."""
    present = [str(name) for name in frame.columns]
    absent = [name for name in dict.fromkeys(names) if name not in present]
    faults = []
    if absent:
        hint = nearest_hint(absent[0], present) or f"; its columns are {quote_names(present)}"
        faults.append(f"has no column {quote_names(absent)}{hint}")
    if twice := [name for name in dict.fromkeys(names) if present.count(name) > 1]:
        faults.append(f"has more than one column of the name {quote_names(twice)}")
    return faults


def column_differences(
    frame: DataFrame, names: list[str], used: list[str], numbers: Shaped[np.ndarray, "n columns"]
) -> list[str]:
    """Describe the differences between the columns of a file and of the training data.

    names: the columns that are modeled.
    used: these columns and the label.
    numbers: values of the modeled columns in this file.
    """
    present = [str(name) for name in frame.columns]
    notes = []
    if extra := [name for name in present if name not in used]:
        notes.append(f"has columns that the run does not model, {quote_names(extra)}: they are ignored")
    if [name for name in present if name in names] != names:
        notes.append("has its columns in another order than the training data: they are matched by name")
    if len(numbers) > 1 and (constant := np.array(names)[np.ptp(numbers, axis=0) == 0].tolist()):
        notes.append(f"has columns that are constant here but were not in training, {quote_names(constant)}")
    return notes
