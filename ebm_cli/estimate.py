"""A number with its error and a verdict on whether to trust it; what a metric or a diagnostic returns."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "caution", "refused"]
# What happens to a number if its chains are not mixed. kept: nothing, it does not depend on them. caution: it gets a
# caution, as it describes these chains. refused: it is refused, as it describes the whole distribution.
IfNotMixed = Literal["kept", "caution", "refused"]
# A matplotlib figure and the caption below it.
Picture = tuple[Any, str]
# The keys of a row of metrics.json, which also has `reason`.
IN_JSON = ("value", "se", "lower", "upper", "unit", "verdict", "meaning")


@dataclass(frozen=True)
class Estimate:
    """What tables, metrics.json and reports contain about one number.

    value: a number or a list of numbers; None if refused.
    se: its standard error.
    lower, upper: an interval.
    verdict: ok; caution (there is a value, and a reason to be careful); or refused (no value).
    reasons: why there is a caution or no value and what to do about it, one sentence each; for ok, how it was found.
    meaning: what the value means in plain words, for a quantity with a known good value. Verdicts are only about trust.
    if_not_mixed: see `IfNotMixed`.
    """

    value: float | list[float] | None
    se: float | list[float] | None = None
    lower: float | None = None
    upper: float | None = None
    unit: str | None = None
    verdict: Verdict = "ok"
    reasons: tuple[str, ...] = ()
    meaning: str = ""
    if_not_mixed: IfNotMixed = "kept"

    def __post_init__(self) -> None:
        if (self.verdict == "refused") != (self.value is None):
            raise ValueError(f"a refused estimate has no value and any other has one, got {self}")
        if self.verdict != "ok" and not any(self.reasons):
            raise ValueError(f"a verdict of {self.verdict} needs a reason")
        values = self.value if isinstance(self.value, list) else [self.value]
        if any(value is not None and not math.isfinite(value) for value in values):
            raise ValueError(f"an estimate's value must be finite or refused, got {self.value}")

    @property
    def reason(self) -> str:
        """The reasons as the one string that metrics.json contains."""
        return "; ".join(self.reasons)

    def with_caution(self, reasons: Iterable[str]) -> "Estimate":
        """Return the estimate with these reasons added and the verdict caution; unchanged if refused or without any."""
        added = tuple(reasons)
        if self.verdict == "refused" or not added:
            return self
        return dataclasses.replace(self, verdict="caution", reasons=tuple(dict.fromkeys((*self.reasons, *added))))

    def with_meaning(self, meaning: str) -> "Estimate":
        """Return the estimate with what its value means; unchanged if it is refused, as it has no value."""
        return self if self.value is None else dataclasses.replace(self, meaning=meaning)

    def under(self, mixing: "Estimate") -> "Estimate":
        """Return the estimate after the verdict on the mixing of its chains, see `IfNotMixed`."""
        if mixing.verdict == "ok" or self.if_not_mixed == "kept" or self.verdict == "refused":
            return self
        if mixing.verdict == "refused" and self.if_not_mixed == "refused":
            return dataclasses.replace(refused(mixing.reasons, self.unit), if_not_mixed="refused")
        return self.with_caution(mixing.reasons)

    def to_json(self) -> dict[str, Any]:
        """Return the row of metrics.json: se, lower, upper, unit and meaning only if they exist."""
        row = {name: getattr(self, name) for name in (*IN_JSON, "reason")}
        return {k: v for k, v in row.items() if (v is not None or k == "value") and (v or k != "meaning")}


def from_json(row: dict[str, Any], if_not_mixed: IfNotMixed = "kept") -> Estimate:
    """Return the estimate that `to_json` wrote, its reasons as one; ValueError or TypeError if the row is not one."""
    reasons = (row["reason"],) if row.get("reason") else ()
    return Estimate(**{k: row[k] for k in IN_JSON if k in row}, reasons=reasons, if_not_mixed=if_not_mixed)


def refused(reasons: str | Iterable[str], unit: str | None = None) -> Estimate:
    """Return an estimate without a value, refused for one or several reasons."""
    given = (reasons,) if isinstance(reasons, str) else tuple(reasons)
    return Estimate(None, unit=unit, verdict="refused", reasons=given)


@dataclass(frozen=True)
class Result:
    """What a metric or a diagnostic returns. Nothing here needs matplotlib until `draw` is called.

    estimates: by the names of metrics.json, in the order in which they are shown.
    arrays: what the picture shows besides the estimates, in any type.
    picture: a function from this result to its picture; None if there is none.
    notes: sentences for the terminal.
    tables: CSV files by name, each a DataFrame or columns by name.
    """

    estimates: dict[str, Estimate]
    arrays: Any = None
    picture: Callable[..., Picture] | None = None
    notes: list[str] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)

    def draw(self) -> Picture | None:
        """Return the figure and its caption, if there is a picture."""
        return None if self.picture is None else self.picture(self)


def all_refused(units: Mapping[str, str | None], reasons: str | Iterable[str]) -> Result:
    """Return a result in which every estimate is refused for the same reasons.

    units: of the estimates, by name.
    """
    given = (reasons,) if isinstance(reasons, str) else tuple(reasons)
    return Result({name: refused(given, unit) for name, unit in units.items()})


def rounded_up(value: float) -> int:
    """Return a value (> 1) rounded up to two digits, for a user to type."""
    unit = 10 ** max(math.floor(math.log10(value)) - 1, 0)
    return math.ceil(value / unit) * unit


def apply_mixing_verdict(rows: dict[str, Estimate]) -> dict[str, Estimate]:
    """Apply the verdict of the row `mixing`, if any, to all other rows, each by its own `if_not_mixed`."""
    mixing = rows.get("mixing")
    if mixing is None:
        return rows
    return {name: row if name == "mixing" else row.under(mixing) for name, row in rows.items()}


def show(value: float | list[float] | None, se: float | list[float] | None = None) -> str:
    """Return a value with its error as people write it: 1.234 ± 0.012. Lists are cut after four."""
    if value is None:
        return "–"
    if value == []:
        return "none"
    if isinstance(value, list):
        errors = se if isinstance(se, list) else [None] * len(value)
        shown = ", ".join(show(v, e) for v, e in zip(value[:4], errors, strict=False))
        return f"{shown}, …" if len(value) > 4 else shown
    if se is None or isinstance(se, list) or not math.isfinite(se) or se == 0:
        return digits(value, 4)
    decimals = max(0, 1 - math.floor(math.log10(se)))
    if decimals > 6:
        return f"{digits(value, 4)} ± {se:.1g}"
    return f"{value:.{decimals}f} ± {se:.{decimals}f}"


def digits(value: float, count: int) -> str:
    """Return a number with `count` significant digits, or hundredths from 10⁴ to 10¹⁵: an exponent would hide nats."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.{count}g}"
