"""Early warnings: what a run that will diverge shows before it does, each as one line with what usually helps."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import Data

# Logged rows: before the first judgement; that a sign must last; that lie between a value and what it is compared with.
FIRST, LASTING, BACK = 20, 3, 10
GROWTH = 5.0
LEAST_ACCEPTANCE = 0.05
MOST_OUTSIDE = 0.05
REACH = 2.0

Row = dict[str, float]


@dataclass
class Watch:
    """Looks at each logged row; says each warning once, when its sign has lasted three rows.

    A sign is an absolute one (chains that all but never move, chains beyond twice the data's reach) or growth: five
    times the largest value of all rows up to ten ago. Nothing is said in the first twenty rows, where energies grow
    from nothing as they should.

    data: what is trained on; tells how far rows lie from their mean.
    """

    data: Data
    rows: list[Row] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        rows = self.data.split("train").x.flatten(1)
        self.centre = rows.mean(0)
        self.reach = REACH * (rows - self.centre).norm(dim=1).max()

    def outside(self, x: Float[Tensor, "n *event"]) -> float:
        """Share of states further from the data's mean than twice its furthest row."""
        return float(((x.flatten(1) - self.centre).norm(dim=1) > self.reach).to(torch.float64).mean())

    def look(self, step: int, row: Row) -> list[str]:
        """The warnings that this row brings, in full sentences."""
        self.rows.append(row)
        if len(self.rows) <= FIRST:
            return []
        new = [name for name, (shows, _) in SIGNS.items() if name not in self.said and self._lasts(shows)]
        self.said |= set(new)
        return [f"warning at step {step}: {SIGNS[name][1].format(**row, was=self._before(name))}" for name in new]

    def _lasts(self, shows: Callable[[Row, Row], bool]) -> bool:
        return all(shows(row, self._largest(len(self.rows) - back)) for back, row in self._last())

    def _last(self) -> list[tuple[int, Row]]:
        return [(back, self.rows[-1 - back]) for back in range(LASTING)]

    def _largest(self, until: int) -> Row:
        """The largest absolute value of each figure over the rows that are at least ten before row `until`."""
        earlier = self.rows[: max(until - BACK, 1)]
        names = {name for row in earlier for name in row}
        return {name: max(abs(row[name]) for row in earlier if name in row) for name in names}

    def _before(self, name: str) -> float:
        return self._largest(len(self.rows)).get(name, 0.0)


def grown(name: str) -> Callable[[Row, Row], bool]:
    """Whether a figure is five times the largest value it had, and more than one unit of energy."""
    return lambda row, before: abs(row.get(name, 0.0)) > max(GROWTH * before.get(name, float("inf")), 1.0)


# By the figure that each looks at: when it shows, and what to say.
SIGNS: dict[str, tuple[Callable[[Row, Row], bool], str]] = {
    "acceptance": (
        lambda row, _: row.get("acceptance", 1.0) < LEAST_ACCEPTANCE,
        "chains hardly move, acceptance {acceptance:.3g}; what usually helps: a lower sampler.step_size, or a lower "
        "optimizer.lr if the energy has become steep",
    ),
    "outside": (
        lambda row, _: row.get("outside", 0.0) > MOST_OUTSIDE,
        "{outside:.0%} of the chains lie beyond twice the reach of the data; what usually helps: a larger "
        "energy.confinement, a lower sampler.step_size or optimizer.lr",
    ),
    "gap": (
        grown("gap"),
        "the phases part, gap {gap:.3g} where it was within ±{was:.3g}; what usually helps: a lower optimizer.lr, more "
        "objective.steps",
    ),
    "input_grad_norm": (
        grown("input_grad_norm"),
        "the energy becomes steep, mean ‖∇E‖ {input_grad_norm:.3g} where it was {was:.3g} at most; what usually helps: "
        "a lower optimizer.lr, regularizer=[gradient_norm], energy.spectral_norm",
    ),
    "e_data": (
        grown("e_data"),
        "the energies run away, e_data {e_data:.3g} where it was within ±{was:.3g}; what usually helps: a lower "
        "optimizer.lr, regularizer=[energy_magnitude]",
    ),
}
