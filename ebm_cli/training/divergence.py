"""Warnings during training, each one line with what usually helps, and the verdict on a finished run."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import Data
from ebm_cli.data._rows import available_rows
from ebm_cli.estimate import Verdict

# Number of logged rows before the first warning.
N_QUIET_ROWS = 20
# Number of successive rows in which a warning must apply.
N_LASTING_ROWS = 3
# A value is compared with values that are this many rows earlier, or more.
N_ROWS_BETWEEN = 10
GROWTH = 5.0
MIN_ACCEPTANCE = 0.05
MAX_OUTSIDE = 0.05
# Multiple of the largest distance of the data from their mean, beyond which chains are outside.
REACH = 2.0
# Root-mean-square distance of chains per training step, in units of the data's, below which they do not move.
MIN_DISTANCE = 1e-3
# Number of logged rows that a verdict needs.
MIN_ROWS = 5
# Largest energy gap: this many standard deviations √(d/2) of a Gaussian's energy, plus this many nats.
MAX_GAP = 10.0

Row = dict[str, float]


@dataclass
class DivergenceWarnings:
    """Gives each warning once, when it has applied to three successive logged rows.

    A warning applies to absolute values (chains that hardly move, chains farther out than twice the farthest data), or
    to growth beyond five times the largest value of the rows that are ten rows earlier or more. The first twenty rows
    give no warning, because energies are expected to grow from zero there.

    data: training data. They determine how far from their mean states may be.
    """

    data: Data
    rows: list[Row] = field(default_factory=list)
    given: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        rows = available_rows(self.data).x.flatten(1)
        self.center = rows.mean(0)
        distances = (rows - self.center).norm(dim=1)
        self.reach = REACH * distances.max()
        self.std = float(distances.square().mean().sqrt()) or 1.0

    def outside(self, x: Float[Tensor, "n *event"]) -> float:
        """Return the fraction of states farther from the data's mean than twice the farthest data sample."""
        return float(((x.flatten(1) - self.center).norm(dim=1) > self.reach).to(torch.float64).mean())

    def add(self, step: int, row: Row) -> list[str]:
        """Add a logged row and return the new warnings."""
        self.rows.append(row)
        if len(self.rows) <= N_QUIET_ROWS:
            return []
        new = [name for name, (applies, _) in WARNINGS.items() if name not in self.given and self._lasts(applies)]
        self.given |= set(new)
        largest = self._largest(len(self.rows))
        texts = [WARNINGS[name][1].format(**row, was=largest.get(name, 0.0)) for name in new]
        return [f"warning at step {step}: {text}" for text in texts]

    def verdict(self, rows: list[Row], temperature: float, has_chains: bool) -> tuple[Verdict, list[str]]:
        """Return the verdict on a run with these logged rows, and its reasons.

        The run is refused if no chain has run, or if over the last tenth of the rows chains are farther out than twice
        the farthest data, chains do not move (by acceptance or by distance), or |gap|/T > 10·√(d/2) + 10 nats in d
        coordinates. Any warning of training makes the verdict caution. Otherwise it is ok, also for runs with chains
        and fewer than five logged rows.
        """
        if has_chains and not any("e_model" in row for row in rows):
            return "refused", [NO_CHAINS]
        if len(rows) < MIN_ROWS:
            return "ok", []
        count = max(1, len(rows) // 10)
        first, means = averages(rows[:count]), averages(rows[-count:])
        outside = means.get("outside", 0.0)
        # Chains of a short run may not have reached the data yet, if they start at noise far out.
        approaching = len(rows) <= N_QUIET_ROWS and outside <= min(2 * first.get("outside", 0.0), 0.5)
        max_gap = MAX_GAP * ((len(self.center) / 2) ** 0.5 + 1)
        problems = {
            "outside": outside > MAX_OUTSIDE and not approaching,
            "acceptance": means.get("acceptance", 1.0) < MIN_ACCEPTANCE,
            "chain_distance": means.get("chain_distance", math.inf) < MIN_DISTANCE * self.std,
            "gap": abs(means.get("gap", 0.0)) > max_gap * temperature,
        }
        if problems["acceptance"]:
            # Chains whose proposals are rejected do not move either, and a larger step would not help them.
            problems["chain_distance"] = False
        wrong = [REFUSALS[name].format(**means, max_gap=max_gap) for name, is_so in problems.items() if is_so]
        if wrong:
            return "refused", wrong
        replayed = DivergenceWarnings(self.data)
        warned = [warning for row in rows for warning in replayed.add(int(row["step"]), row)]
        if outside > MAX_OUTSIDE:
            warned.append(NOT_ARRIVED.format(outside=outside))
        return ("caution" if warned else "ok"), warned

    def _lasts(self, applies: Callable[[Row, Row], bool]) -> bool:
        """Return True if a warning applies to each of the last rows."""
        n = len(self.rows)
        return all(applies(self.rows[i], self._largest(i + 1)) for i in range(n - N_LASTING_ROWS, n))

    def _largest(self, until: int) -> Row:
        """Return the largest absolute value of each quantity over the rows up to ten rows before row `until`."""
        earlier = self.rows[: max(until - N_ROWS_BETWEEN, 1)]
        names = {name for row in earlier for name in row}
        return {name: max(abs(row[name]) for row in earlier if name in row) for name in names}


def averages(rows: list[Row]) -> Row:
    """Return the mean of every quantity over the rows that have it."""
    names = {name for row in rows for name in row}
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}


def has_grown(name: str) -> Callable[[Row, Row], bool]:
    """Return a test whether a quantity is five times its largest earlier value, and more than one unit of energy."""
    return lambda row, before: abs(row.get(name, 0.0)) > max(GROWTH * before.get(name, float("inf")), 1.0)


NO_CHAINS = (
    "no chain of the model ever moved, so the model was not trained against samples: objective.delay_steps must be < "
    "trainer.steps"
)
NOT_ARRIVED = "{outside:.0%} of the chains have not reached the data yet. Increase trainer.steps or objective.steps"
# Why a finished run is refused, by the quantity that shows it.
REFUSALS = {
    "outside": (
        "at the end, {outside:.0%} of the chains are more than twice as far from the data mean as any training sample: "
        "they left the data. Decrease sampler.step_size or optimizer.lr, or increase energy.confinement"
    ),
    "acceptance": (
        "at the end, the chains do not move (acceptance {acceptance:.2g}): the model was not trained against its own "
        "samples. Decrease sampler.step_size or optimizer.lr"
    ),
    "chain_distance": (
        "at the end, the chains do not move ({chain_distance:.2g} per training step). Increase sampler.step_size or "
        "objective.steps"
    ),
    "gap": (
        "at the end, the mean energies of chains and data differ by {gap:.3g}, more than {max_gap:.3g} T: the chains "
        "do not follow the model. Decrease optimizer.lr or sampler.step_size, or increase objective.steps"
    ),
}
# The condition and the text of each warning, by the quantity on which it depends.
WARNINGS: dict[str, tuple[Callable[[Row, Row], bool], str]] = {
    "acceptance": (
        lambda row, _: row.get("acceptance", 1.0) < MIN_ACCEPTANCE,
        "chains hardly move (acceptance {acceptance:.3g}). What usually helps: a smaller sampler.step_size, or a "
        "smaller optimizer.lr if the energy has become steep",
    ),
    "outside": (
        lambda row, _: row.get("outside", 0.0) > MAX_OUTSIDE,
        "{outside:.0%} of the chains are more than twice as far from the data mean as any training sample. What "
        "usually helps: a larger energy.confinement, a smaller sampler.step_size or optimizer.lr",
    ),
    "gap": (
        has_grown("gap"),
        "the energy gap between data and model samples has grown to {gap:.3g} (previously within ±{was:.3g}). What "
        "usually helps: a smaller optimizer.lr, more objective.steps",
    ),
    "input_grad_norm": (
        has_grown("input_grad_norm"),
        "the energy becomes steep: mean ‖∇E‖ is {input_grad_norm:.3g} (previously at most {was:.3g}). What usually "
        "helps: a smaller optimizer.lr, regularizer=[gradient_norm], energy.spectral_norm",
    ),
    "e_data": (
        has_grown("e_data"),
        "the energies grow without bound: e_data is {e_data:.3g} (previously within ±{was:.3g}). What usually helps: a "
        "smaller optimizer.lr, regularizer=[energy_magnitude]",
    ),
}
