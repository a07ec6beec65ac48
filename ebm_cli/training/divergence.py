"""Warnings while a run trains, each as one line with what usually helps, and the verdict on a run that has ended."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import Data
from ebm_cli.data._rows import available_rows
from ebm_cli.estimate import Verdict

# Logged rows: before the first judgement; that a sign must last; that lie between a value and what it is compared with.
FIRST, LASTING, BACK = 20, 3, 10
GROWTH = 5.0
LEAST_ACCEPTANCE = 0.05
MOST_OUTSIDE = 0.05
REACH = 2.0
# Root-mean-square distance that chains move in a training step, in units of the data's, below which they stand still.
LEAST_DISTANCE = 1e-3
# Logged rows from which on a run is judged.
JUDGED = 5
# Gap of the phases, in nats: this many standard deviations √(d/2) of a Gaussian's energy, and as many nats.
MOST_GAP = 10.0

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
        rows = available_rows(self.data).x.flatten(1)
        self.centre = rows.mean(0)
        distances = (rows - self.centre).norm(dim=1)
        self.reach = REACH * distances.max()
        self.spread = float(distances.square().mean().sqrt()) or 1.0

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

    def verdict(self, rows: list[Row], temperature: float, has_chains: bool) -> tuple[Verdict, list[str]]:
        """Return the verdict on a run with these logged rows, and its reasons.

        refused, over the last tenth of the rows: no chain has run at all; chains lie beyond the data's reach; chains
        stand still, by acceptance or by distance; |gap|/T > 10·√(d/2) + 10 nats, d the number of coordinates. caution:
        a warning of training. ok otherwise, and for runs of fewer than five logged rows that have chains.
        """
        if has_chains and not any("e_model" in row for row in rows):
            return "refused", [NO_CHAINS]
        if len(rows) < JUDGED:
            return "ok", []
        count = max(1, len(rows) // 10)
        first, means = averages(rows[:count]), averages(rows[-count:])
        outside = means.get("outside", 0.0)
        # Chains of a short run may still be on their way from noise that lies far out.
        on_their_way = len(rows) <= FIRST and outside <= min(2 * first.get("outside", 0.0), 0.5)
        most = MOST_GAP * ((len(self.centre) / 2) ** 0.5 + 1)
        ends = {
            "outside": outside > MOST_OUTSIDE and not on_their_way,
            "acceptance": means.get("acceptance", 1.0) < LEAST_ACCEPTANCE,
            "chain_distance": means.get("chain_distance", math.inf) < LEAST_DISTANCE * self.spread,
            "gap": abs(means.get("gap", 0.0)) > most * temperature,
        }
        if ends["acceptance"]:
            # Chains that are not accepted do not move either, for which a larger step would be no remedy.
            ends["chain_distance"] = False
        wrong = [ENDS[name].format(**means, most=most) for name, is_so in ends.items() if is_so]
        if wrong:
            return "refused", wrong
        replayed = Watch(self.data)
        warned = [warning for row in rows for warning in replayed.look(int(row["step"]), row)]
        if outside > MOST_OUTSIDE:
            warned.append(NOT_ARRIVED.format(outside=outside))
        return ("caution" if warned else "ok"), warned

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


def averages(rows: list[Row]) -> Row:
    """The mean of every figure over the rows that have it."""
    names = {name for row in rows for name in row}
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}


def grown(name: str) -> Callable[[Row, Row], bool]:
    """Whether a figure is five times the largest value it had, and more than one unit of energy."""
    return lambda row, before: abs(row.get(name, 0.0)) > max(GROWTH * before.get(name, float("inf")), 1.0)


NO_CHAINS = (
    "no chain of the model ever moved, so that nothing was trained against: objective.wait must be < trainer.steps"
)
NOT_ARRIVED = "{outside:.0%} of the chains have not come to the data yet: raise trainer.steps or objective.steps"
# What is wrong with a run at its end, by the figure that shows it.
ENDS = {
    "outside": (
        "{outside:.0%} of the chains lie beyond twice the reach of the data at the end: they left the data, and the "
        "model is of no use; lower sampler.step_size or optimizer.lr, or raise energy.confinement"
    ),
    "acceptance": (
        "the chains stand still at the end, acceptance {acceptance:.2g}: the model was not trained against its own "
        "samples; lower sampler.step_size or optimizer.lr"
    ),
    "chain_distance": (
        "the chains stand still at the end: in a training step they move by {chain_distance:.2g}; raise "
        "sampler.step_size or objective.steps"
    ),
    "gap": (
        "the energies of chains and data lie {gap:.3g} apart at the end, more than {most:.3g} T: the chains do not "
        "follow the model; lower optimizer.lr or sampler.step_size, or raise objective.steps"
    ),
}
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
