"""Estimate: a number with its error and a verdict on whether to trust it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "caution", "refused"]
WHOLE_LAW = {"mean", "ess_bulk_min", "ess_per_gradient", "occupancy"}
OF_THE_CHAINS = {"std", "energy"}


@dataclass(frozen=True)
class Estimate:
    """All that tables, metrics.json and reports know about one number.

    value: a number or a list of them; None when refused. se: its standard error. lower, upper: an interval.
    verdict: ok, caution (the value stands, `reason` says what to doubt), or refused (no value, `reason` says
    why and what would mend it).
    """

    value: float | list[float] | None
    se: float | list[float] | None = None
    lower: float | None = None
    upper: float | None = None
    unit: str | None = None
    verdict: Verdict = "ok"
    reason: str = ""

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

    def to_json(self) -> dict[str, Any]:
        """The row of metrics.json: se, lower, upper and unit only where they exist."""
        row = dataclasses.asdict(self)
        return {k: v for k, v in row.items() if v is not None or k == "value"}


def refused(reason: str, unit: str | None = None) -> Estimate:
    """An estimate that is not given, for the reason stated."""
    return Estimate(None, unit=unit, verdict="refused", reason=reason)


def under_mixing(rows: dict[str, Estimate]) -> dict[str, Estimate]:
    """The rows that speak of the whole law, under the verdict of `mixing`.

    Chains that are not mixed have no mean and no ESS: both are refused with it. Energy and spread of the chains
    as they stand are still facts about the chains, under caution.
    """
    mixing = rows.get("mixing")
    if mixing is None or mixing.verdict == "ok":
        return rows
    taken = dict(rows)
    reasons = mixing.reason.split("; ")
    for name in WHOLE_LAW & rows.keys():
        if mixing.verdict == "refused" and rows[name].verdict != "refused":
            taken[name] = refused(mixing.reason, rows[name].unit)
        else:
            taken[name] = rows[name].doubted(reasons)
    for name in OF_THE_CHAINS & rows.keys():
        taken[name] = rows[name].doubted(reasons)
    return taken


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
