"""The founding text's claims, a file each: what is exact beside what this project measures, and whether they agree.

A claim is a module here with `measure(place) -> Claim`; nothing else lists it. `place` is an empty folder for its runs.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from ebm_cli.estimate import show

# How far a measurement may lie from what is exact.
ERRORS = 4


@dataclass(frozen=True)
class Row:
    """One number of a claim: `measured` ± `se` beside `exact`, from a closed form, quadrature or an enumeration.

    relation: "=" holds within 4 standard errors, "<" and ">" beyond 4; "within 5 %" is of exact, errors aside. A number
    that is not finite, or whose error is not, does not hold.
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
        """What is exact and what was measured, as people read them."""
        # As many digits as tell it apart from the measurement.
        decimals = min(max(1 - math.floor(math.log10(self.se)), 0), 6) if 0 < self.se < math.inf else 4
        exact = f"{self.exact:.{decimals}f}" if abs(self.exact) >= 10**-decimals else f"{self.exact:.3g}"
        before = {"=": "", "within 5 %": ""}.get(self.relation, f"{self.relation} ")
        after = ", within 5 %" if self.relation == "within 5 %" else ""
        # numpy's own numbers are floats that compare with lists.
        return f"{before}{exact}{after}", show(float(self.measured), float(self.se))


@dataclass(frozen=True)
class Word:
    """A claim's statement in words, such as a verdict: it has no error, and holds where the two are the same."""

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
        """What should be said and what was."""
        return self.exact, self.measured


@dataclass(frozen=True)
class Claim:
    """What the text says, what is exact and what was measured, and a picture of it.

    section: of the founding text. sentence: the claim. truth: what has to be added to it, or that it is not so.
    refuted: whether rows that hold show that it is not so.
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
        """On the claim, in a word or two: its rows hold, one of them fails, or they hold and the claim does not."""
        return "fails" if not self.holds else "not so" if self.refuted else "holds"

    @property
    def holds(self) -> bool:
        """Whether every row does, and there is one."""
        return bool(self.rows) and all(row.holds for row in self.rows)


def names() -> list[str]:
    """All claims in the text's own order, which is each module's ORDER."""
    found = [path.stem for path in Path(__file__).parent.glob("[!_]*.py")]
    return sorted(found, key=lambda name: importlib.import_module(f"{__name__}.{name}").ORDER)


def measurer(name: str) -> Callable[[Path], Claim]:
    """The function that measures one claim."""
    return importlib.import_module(f"{__name__}.{name}").measure
