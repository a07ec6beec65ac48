"""Labels of the rows of a table: their levels and their faults."""

from ebm_cli.data._files import join_names
from ebm_cli.data._table_file import Series


def label_texts(column: Series) -> list[str]:
    """Return the labels as text. Whole numbers are written without a decimal point: 1 and 1.0 are one level."""
    return [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in column.tolist()]


def levels_of(column: Series) -> list[str]:
    """Return the levels of a label: whole numbers by size, others by name."""

    def order(text: str) -> tuple[bool, int, str]:
        is_whole = text.lstrip("-").isdecimal()
        return not is_whole, int(text) if is_whole else 0, text

    return sorted(set(label_texts(column)), key=order)


def missing_label_faults(column: Series) -> list[str]:
    """Report rows without a label."""
    n = int(column.isna().sum())
    return [f"has no label in {n} of {len(column)} rows: type data.missing=drop to leave these rows out"] if n else []


def new_level_faults(column: Series, levels: list[str]) -> list[str]:
    """Report levels that the training file did not have."""
    new = [repr(level) for level in levels_of(column.dropna()) if level not in levels]
    if not new:
        return []
    return [
        f"has levels of {str(column.name)!r} that were not in the training data, {join_names(new)}; those were "
        f"{join_names(levels)}"
    ]
