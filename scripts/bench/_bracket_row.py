"""One row of `brackets`: a tool's answer for one energy and seed, and its judgment; needs only the standard library."""

import math
import time
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
# What a tool returns: value, lower, upper (None if there is none), verdict and reason.
Tool = Callable[[str, int], Row]

JUDGMENTS = ("held", "held with caution", "refused", "failed", "excluded", "excluded with caution")
MAX_REASON = 800


def measured_row(tool: str, run: Tool, name: str, seed: int) -> Row:
    """Return the row of one energy and seed. An exception, and a number that is not finite, are a failure.

    seconds: CPU time.
    """
    begin = time.process_time()
    try:
        found = run(name, seed)
        numbers = [found[key] for key in ("value", "lower", "upper") if found[key] is not None]
        if not all(map(math.isfinite, numbers)):
            raise ArithmeticError(f"value {found['value']}, between {found['lower']} and {found['upper']}")
    except Exception as error:
        found = {"value": None, "lower": None, "upper": None, "verdict": "failed"}
        found["reason"] = f"{type(error).__name__}: {error}"
    found["reason"] = " ".join(found["reason"].split())[:MAX_REASON]
    return {"energy": name, "tool": tool, "seed": seed} | found | {"seconds": round(time.process_time() - begin, 2)}


def interval(value: float, margin: float, reason: str = "", is_doubted: bool = False) -> Row:
    """Return the answer value ± margin; is_doubted: the tool warns about it."""
    bounds = {"value": value, "lower": value - margin, "upper": value + margin}
    return bounds | {"verdict": "caution" if is_doubted else "ok", "reason": reason}


def judgment(exact: float, row: Row) -> str:
    """Return one of JUDGMENTS. A bound that the tool does not give is infinite; one of a refused value counts."""
    is_below = row["lower"] is not None and exact < row["lower"]
    is_above = row["upper"] is not None and exact > row["upper"]
    if is_below or is_above:
        judged = "excluded"
    elif row["verdict"] in ("refused", "failed"):
        return row["verdict"]
    else:
        judged = "held"
    return f"{judged} with caution" if row["verdict"] == "caution" else judged
