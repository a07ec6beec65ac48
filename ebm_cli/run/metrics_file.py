"""metrics.json: the estimates of a run, each with its verdict."""

import json
from pathlib import Path
from types import NoneType
from typing import Any

from ebm_cli.estimate import Estimate
from ebm_cli.run.damage import damage_error
from ebm_cli.run.writing import write_text


def read_estimates(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of the file, empty if it does not exist yet. Raises InputError if it is damaged."""
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise damage_error(path, " ".join(str(error).split())[:100]) from None
    if not isinstance(rows, dict) or not all(_is_estimate(row) for row in rows.values()):
        raise damage_error(path, "it does not contain a number with its verdict under each name")
    return rows


def write_estimates(path: Path, estimates: dict[str, Estimate]) -> None:
    """Write one row per estimate."""
    rows = {name: estimate.to_json() for name, estimate in estimates.items()}
    write_text(path, json.dumps(rows, indent=1, allow_nan=False) + "\n")


def _is_estimate(row: Any) -> bool:
    """Return True if a row is an estimate: a verdict, and a value unless it is refused."""
    return (
        isinstance(row, dict)
        and row.get("verdict") in ("ok", "caution", "refused")
        and (row["verdict"] == "refused") == (row.get("value") is None)
        and isinstance(row.get("reason", ""), str)
        and isinstance(row.get("unit", ""), str | NoneType)
        and "value" in row
        and all(_is_number(row.get(key)) for key in ("value", "se", "lower", "upper"))
    )


def _is_number(value: Any) -> bool:
    """Return True if a value is a number, a list of numbers or names, or null."""
    if isinstance(value, list):
        return all(_is_number(item) or isinstance(item, str) for item in value)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
