"""Estimate: a number with its error and a verdict on whether to trust it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "caution", "refused"]


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
        every = [self.reason, *reasons] if self.reason else reasons
        return dataclasses.replace(self, verdict="caution", reason="; ".join(every))

    def to_json(self) -> dict[str, Any]:
        """The row of metrics.json: se, lower, upper and unit only where they exist."""
        row = dataclasses.asdict(self)
        return {k: v for k, v in row.items() if v is not None or k == "value"}


def refused(reason: str, unit: str | None = None) -> Estimate:
    """An estimate that is not given, for the reason stated."""
    return Estimate(None, unit=unit, verdict="refused", reason=reason)


def show(value: float | list[float] | None, se: float | list[float] | None = None) -> str:
    """A value beside its error as people write them: 1.234 ± 0.012; lists are cut after four."""
    if value is None:
        return "–"
    if isinstance(value, list):
        errors = se if isinstance(se, list) else [None] * len(value)
        shown = ", ".join(show(v, e) for v, e in zip(value[:4], errors, strict=False))
        return f"{shown}, …" if len(value) > 4 else shown
    if se is None or isinstance(se, list) or not math.isfinite(se) or se == 0:
        return f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(se)))
    if decimals > 6:
        return f"{value:.4g} ± {se:.1g}"
    return f"{value:.{decimals}f} ± {se:.{decimals}f}"
