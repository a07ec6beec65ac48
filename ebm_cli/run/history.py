"""metrics.jsonl: one line per logged step. An incomplete last line, which a kill can leave, is ignored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebm_cli.run.damage import damage_error
from ebm_cli.run.writing import write_text


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append one line."""
    with path.open("a") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return all complete lines. Raises InputError that names a damaged line."""
    return [row for _, row in _lines(path)]


def cut_rows(path: Path, step: int) -> None:
    """Drop the lines beyond `step`. Training will write them again."""
    if path.exists():
        write_text(path, "".join(line for line, row in _lines(path) if row["step"] <= step))


def last_tenth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last tenth of the rows; the last row if there are fewer than ten."""
    return rows[-max(1, len(rows) // 10) :]


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each complete line as text and as a row."""
    *lines, _ = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, content in enumerate(lines, 1):
        try:
            row = json.loads(content)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not _is_logged_step(row):
            raise damage_error(path, f"line {number} is not a logged step; remove it to continue")
        yield f"{content.decode()}\n", row


def _is_logged_step(row: dict[str, Any]) -> bool:
    """Return True if a row has a step and all its other values are numbers, lists or null."""
    values_are_valid = all(isinstance(value, int | float | list) or value is None for value in row.values())
    return isinstance(row.get("step"), int) and values_are_valid
