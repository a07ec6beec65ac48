"""Estimate: a number with its error and a verdict on whether to trust it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "caution", "refused"]
# What becomes of a number if its chains are not mixed: it stays as it is, as it does not depend on them; it is given
# under caution, as a fact about these chains; or it is refused, as it speaks of the whole distribution.
IfNotMixed = Literal["kept", "caution", "refused"]


@dataclass(frozen=True)
class Estimate:
    """All that tables, metrics.json and reports know about one number.

    value: a number or a list of them; None when refused. se: its standard error. lower, upper: an interval.
    verdict: ok, caution (the value stands, `reason` says what to doubt), or refused (no value, `reason` says
    why and what would mend it). meaning: what the value means in plain words, for a quantity with a known good value;
    verdicts are about trust alone. if_not_mixed: see `IfNotMixed`.
    """

    value: float | list[float] | None
    se: float | list[float] | None = None
    lower: float | None = None
    upper: float | None = None
    unit: str | None = None
    verdict: Verdict = "ok"
    reason: str = ""
    meaning: str = ""
    if_not_mixed: IfNotMixed = "kept"

    def __post_init__(self) -> None:
        if (self.verdict == "refused") != (self.value is None):
            raise ValueError(f"a refused estimate has no value and any other has one, got {self}")
        if self.verdict != "ok" and not self.reason:
            raise ValueError(f"a verdict of {self.verdict} needs a reason")
        values = self.value if isinstance(self.value, list) else [self.value]
        if any(value is not None and not math.isfinite(value) for value in values):
            raise ValueError(f"an estimate's value must be finite or refused, got {self.value}")

    def doubted(self, reasons: list[str]) -> "Estimate":
        """The same estimate under caution for the given reasons, beside any that it has; unchanged for none."""
        if self.verdict == "refused" or not reasons:
            return self
        known = self.reason.split("; ") if self.reason else []
        return dataclasses.replace(self, verdict="caution", reason="; ".join(dict.fromkeys([*known, *reasons])))

    def meaning_that(self, meaning: str) -> "Estimate":
        """The same estimate with what its value means; unchanged if it is refused, as it has no value."""
        return self if self.value is None else dataclasses.replace(self, meaning=meaning)

    def under(self, mixing: "Estimate") -> "Estimate":
        """The same estimate as the verdict on the mixing of its chains leaves it."""
        if mixing.verdict == "ok" or self.if_not_mixed == "kept" or self.verdict == "refused":
            return self
        if mixing.verdict == "refused" and self.if_not_mixed == "refused":
            return dataclasses.replace(refused(mixing.reason, self.unit), if_not_mixed="refused")
        return self.doubted(mixing.reason.split("; "))

    def to_json(self) -> dict[str, Any]:
        """Return the row of metrics.json: se, lower, upper, unit and meaning only if they exist."""
        row = dataclasses.asdict(self)
        del row["if_not_mixed"]
        return {k: v for k, v in row.items() if (v is not None or k == "value") and (v or k != "meaning")}


def from_json(row: dict[str, Any], if_not_mixed: IfNotMixed = "kept") -> Estimate:
    """Return the estimate that `to_json` wrote; ValueError or TypeError if the row is not one."""
    names = {field.name for field in dataclasses.fields(Estimate)} - {"if_not_mixed"}
    return Estimate(**{k: v for k, v in row.items() if k in names}, if_not_mixed=if_not_mixed)


def refused(reason: str, unit: str | None = None) -> Estimate:
    """An estimate that is not given, for the reason stated."""
    return Estimate(None, unit=unit, verdict="refused", reason=reason)


def rounded_up(value: float) -> int:
    """A number > 1 to type, rounded up to two digits."""
    unit = 10 ** max(math.floor(math.log10(value)) - 1, 0)
    return math.ceil(value / unit) * unit


def under_mixing(rows: dict[str, Estimate]) -> dict[str, Estimate]:
    """Return the rows as the row `mixing` leaves them, each by its own `if_not_mixed`."""
    mixing = rows.get("mixing")
    if mixing is None:
        return rows
    return {name: row if name == "mixing" else row.under(mixing) for name, row in rows.items()}


def show(value: float | list[float] | None, se: float | list[float] | None = None) -> str:
    """A value beside its error as people write them: 1.234 ± 0.012; lists are cut after four, none for an empty one."""
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
    """A number with so many significant digits, but from 10⁴ to 10¹⁵ with hundredths: an exponent would hide nats."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.{count}g}"
