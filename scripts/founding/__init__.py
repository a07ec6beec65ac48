"""Claims of the founding text, one file per claim: exact values, values measured by this project, and a comparison.

A claim is a module in this package with `measure(place) -> Claim`. It is not listed anywhere else. `place` is an empty
folder for its runs.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from ebm_cli.estimate import show

# Maximum distance between measured and exact value, in standard errors.
ERRORS = 4


@dataclass(frozen=True)
class Row:
    """One number of a claim: `measured` ± `se`, compared with `exact` from a closed form, quadrature or enumeration.

    relation: "=" holds within 4 standard errors; "<" and ">" hold if the difference exceeds 4; "within 5 %" compares
    with 5 % of exact and ignores the error. A row with a non-finite number or error does not hold.
    """

    quantity: str
    exact: float
    measured: float
    se: float
    relation: Literal["=", "<", ">", "within 5 %"] = "="

    @property
    def holds(self) -> bool:
        off, reach = self.measured - self.exact, ERRORS * self.se
        if not (math.isfinite(off) and math.isfinite(reach) and reach > 0):
            return False
        bounds = {"=": abs(off) <= reach, "<": off < -reach, ">": off > reach}
        return bounds.get(self.relation, abs(off) <= 0.05 * abs(self.exact))

    @property
    def shown(self) -> tuple[str, str]:
        """Return the exact and the measured value as text."""
        # Use enough digits to distinguish the exact from the measured value.
        decimals = min(max(1 - math.floor(math.log10(self.se)), 0), 6) if 0 < self.se < math.inf else 4
        exact = f"{self.exact:.{decimals}f}" if abs(self.exact) >= 10**-decimals else f"{self.exact:.3g}"
        before = {"=": "", "within 5 %": ""}.get(self.relation, f"{self.relation} ")
        after = ", within 5 %" if self.relation == "within 5 %" else ""
        # Convert numpy scalars, which are floats but compare elementwise with lists.
        return f"{before}{exact}{after}", show(float(self.measured), float(self.se))


@dataclass(frozen=True)
class Word:
    """A row with words, such as a verdict: it has no error, and holds if both are equal."""

    quantity: str
    exact: str
    measured: str
    se: None = None
    relation: Literal["is"] = "is"

    @property
    def holds(self) -> bool:
        return self.exact == self.measured

    @property
    def shown(self) -> tuple[str, str]:
        """Return the expected and the measured word."""
        return self.exact, self.measured


@dataclass(frozen=True)
class Claim:
    """A claim with its rows of exact and measured values and a figure.

    section: section of the founding text. sentence: the claim. truth: a necessary correction or addition. refuted: True
    if the rows, when they hold, disprove the claim.
    """

    section: str
    sentence: str
    rows: Sequence[Row | Word]
    picture: Figure
    caption: str
    truth: str = ""
    refuted: bool = False

    @property
    def verdict(self) -> str:
        """Return fails if a row fails, not so if the rows hold and disprove the claim, and otherwise holds."""
        return "fails" if not self.holds else "not so" if self.refuted else "holds"

    @property
    def holds(self) -> bool:
        """Return True if the claim has rows and all of them hold."""
        return bool(self.rows) and all(row.holds for row in self.rows)


def names() -> list[str]:
    """Return all claims in the order of the text, given by ORDER in each module."""
    found = [path.stem for path in Path(__file__).parent.glob("[!_]*.py")]
    return sorted(found, key=lambda name: importlib.import_module(f"{__name__}.{name}").ORDER)


def measurer(name: str) -> Callable[[Path], Claim]:
    """Return the function that measures one claim."""
    return importlib.import_module(f"{__name__}.{name}").measure
