"""Titles of the keys and values of a sweep, and the order of the values."""

import math

from ebm_cli.report.sweep_members import Sweep, cells

MAX_LETTERS = 22


def axis_title(key: str, value: str) -> str:
    """Return a key and its value as a title."""
    return f"{key_title(key)} {value_title(value)}"


def key_title(key: str) -> str:
    """Return a key as a title, without its group. The caption contains the whole key."""
    return escape_dollar(key.rpartition(".")[2].replace("_", " "))


def value_title(value: str) -> str:
    """Return a value as a title: the last part of a path, cut to MAX_LETTERS letters."""
    name = value.rstrip("/").rpartition("/")[2]
    return escape_dollar(name if len(name) <= MAX_LETTERS else f"…{name[1 - MAX_LETTERS :]}")


def escape_dollar(text: str) -> str:
    """Return text in which matplotlib does not interpret a dollar sign as the start of a formula."""
    return text.replace("$", r"\$")


def values_of(sweep: Sweep, key: str) -> list[str]:
    """Return the values of a key: numbers by size, other values in the order of the command line."""
    found = [value for (value,) in cells(sweep.members, [key])]
    return sorted(found, key=float) if are_numbers(found) else found


def are_numbers(values: list[str]) -> bool:
    """Return True if all values are finite numbers."""
    try:
        return all(math.isfinite(float(value)) for value in values)
    except ValueError:
        return False
