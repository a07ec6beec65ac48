"""Negative log-likelihood of held-out rows with the bounds of its log Z, compared with other densities."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data, FileData, Split
from ebm_cli.data._sites import Sites
from ebm_cli.density import AUTO, NAMES, Baseline, fit_baselines
from ebm_cli.energy import DISCRETE, SMOOTH, space_of
from ebm_cli.estimate import Estimate, Picture, Result, refused, show
from ebm_cli.metric import NOT_FINITE, EvaluationContext, mean_over_rows
from ebm_cli.metric._likelihood_rows import likelihood_rows
from ebm_cli.metric._score_table import SCORES, row_names, score_table
from ebm_cli.partition import LogZResult
from ebm_cli.partition.settings import LogZOptions
from ebm_cli.wells.modes import values

NEEDS_DATA = "needs data to score. Type run=RUN of a trained model, or data=NAME"
# A fitted density, and its log-density of the rows of each part.
ScoredBaseline = tuple[Baseline, dict[Split, np.ndarray]]


@dataclass(frozen=True)
class NLL(LogZOptions):
    """nll = ⟨E(x)/T⟩ + log Z(T) in nats per row, x the held-out rows; nll_train for training rows.

    bits_per_dim = nll/(d·log 2). The density is over the rows that the model is trained on, in the model's units
    (pictures in [−1, 1]) and with the data's noise σ added. It can be compared with other densities of the same noisy
    rows, but not with code lengths of integer gray levels. se is over the rows only, sd(E/T)/√n. lower and upper
    replace log Z by its bounds (`log_z`). Continuous rows without noise have no density to score if they repeat or lie
    in a lower dimension. For discrete rows the density is a probability, and d is the number of sites. The score of
    each row is written to scores.csv.

    baselines: densities fitted to the training rows and scored as nll_NAME, or auto for all that fit the rows; [] for
    none. For continuous rows these are gaussian, mixture, kernel and flow (if zuko is installed), for discrete rows
    bernoulli, bernoulli_mixture, tree and autoregressive.
    Other fields: see `LogZOptions`. log Z is computed once if metric.log_z has the same values.
    """

    baselines: list[str] | str

    needs_samples: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check.every(super().__post_init__, lambda: check_baselines(self.baselines))

    def __call__(self, context: EvaluationContext) -> Result:
        data = context.data
        if data is None or context.held_out is None:
            raise InputError(NEEDS_DATA)
        already_reported = context.has_log_z(self)
        found = context.log_z(self)
        parts: dict[Split, Tensor] = {"held_out": context.held_out.x}
        if context.train is not None:
            parts["train"] = context.train.x
        e: dict[Split, np.ndarray] = {
            part: reduced_energies(context.energy, context.temperature, x) for part, x in parts.items()
        }
        noise = f"with the data's noise, σ = {data.noise:g}, drawn once" if data.noise else "without noise"
        notes = [f"nll: of {len(e['held_out'])} {context.held_out_name}, {noise}"]
        notes += [] if already_reported else found.notes
        baselines = self._score_baselines(context, data, parts, notes)
        estimates = nll_estimates(context, e, found, baselines)
        notes += gain_over_baselines(e["held_out"], found.estimate, baselines)
        log_densities = {baseline.name: scores for baseline, scores in baselines}
        table = {SCORES: score_table(e, found.estimate, log_densities, row_names(data, e))}
        words: dict[Split, str] = {"held_out": context.held_out_name, "train": "training rows"}
        scored = " and ".join(f"{len(values)} {words[part]}" for part, values in e.items())
        rows = likelihood_rows(estimates, baselines)
        return Result(
            estimates, (rows, f"{scored}, {noise}", context.held_out_name), picture if rows else None, notes, table
        )

    def _score_baselines(
        self, context: EvaluationContext, data: Data, parts: dict[Split, Tensor], notes: list[str]
    ) -> list[ScoredBaseline]:
        """Fit the baselines and score the rows of each part."""
        names = self.baselines
        if "train" not in parts and names:
            notes.append("nll: other densities are left out because the training rows to fit them to are missing")
            names = []
        if isinstance(data, FileData) and space_of(data) in SMOOTH and data.log_unit:
            notes.append(describe_units(data))
        baselines = fit_baselines(data, names, context.seed, notes.append, context.terminal.stopping)
        return [(b, {part: b.log_prob(x).double().cpu().numpy() for part, x in parts.items()}) for b in baselines]


def check_baselines(names: object) -> None:
    """Raise InputError, with all names that are wrong, unless `names` is auto, a baseline or a list of baselines."""
    if not isinstance(names, list):
        check.one_of("baselines", names, [AUTO, *NAMES])
        return
    check.every(*(partial(check.one_of, "baselines", name, NAMES) for name in names))


def reduced_energies(energy: nn.Module, temperature: float, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, " n"]:
    """Return E/T of each row."""
    return (values(energy, x).double() / temperature).cpu().numpy()


def nll_estimates(
    context: EvaluationContext, e: dict[Split, np.ndarray], found: LogZResult, baselines: list[ScoredBaseline]
) -> dict[str, Estimate]:
    """Return nll, nll_train, bits_per_dim and nll_NAME of the baselines."""
    bits = 1 / (coordinates(space_of(context.energy), context.event) * math.log(2))
    train = refused(f"nll_train {context.train_missing}", "nats")
    if "train" in e:
        train = nll_estimate(e["train"], found.estimate, 1.0, "nats")
    others = {b.name: mean_over_rows(-scores["held_out"], "nats", "{} have density 0") for b, scores in baselines}
    return {
        "nll": with_comparison(nll_estimate(e["held_out"], found.estimate, 1.0, "nats"), others),
        "nll_train": train,
        "bits_per_dim": nll_estimate(e["held_out"], found.estimate, bits, "bits"),
    } | {f"nll_{name}": estimate for name, estimate in others.items()}


def coordinates(space: str, event: tuple[int, ...]) -> int:
    """Return the number of coordinates of a state: its numbers, or the sites of a discrete state."""
    return Sites(space, event).count if space in DISCRETE else math.prod(event)


def nll_estimate(e: Float[np.ndarray, " n"], log_z: Estimate, factor: float, unit: str) -> Estimate:
    """Return ⟨E/T⟩ + log Z times `factor`, with the bounds and the verdict of log Z."""
    if not isinstance(log_z.value, float):
        return refused(f"no log Z: {log_z.reason}", unit)
    mean = mean_over_rows(e, unit, NOT_FINITE)
    if not isinstance(mean.value, float):
        return mean
    lower, value, upper = (
        None if each is None else factor * (mean.value + each) for each in (log_z.lower, log_z.value, log_z.upper)
    )
    se = factor * mean.se if isinstance(mean.se, float) else None
    reasons = (f"log Z: {log_z.reason}",) if log_z.verdict == "caution" else ()
    return Estimate(value, se, lower, upper, unit, log_z.verdict, reasons)


def with_comparison(nll: Estimate, others: dict[str, Estimate]) -> Estimate:
    """Return nll with its meaning: the difference of its upper bound from the smallest nll of another density."""
    known = {name: row.value for name, row in others.items() if isinstance(row.value, float)}
    if not isinstance(nll.value, float) or not known:
        return nll
    best = min(known, key=lambda name: known[name])
    less = known[best] - (nll.value if nll.upper is None else nll.upper)
    return nll.with_meaning(
        f"held-out rows are {abs(less):.2g} nats {'more' if less > 0 else 'less'} likely than under the best simple "
        f"density, {best}"
    )


def gain_over_baselines(e: Float[np.ndarray, " n"], log_z: Estimate, baselines: list[ScoredBaseline]) -> list[str]:
    """Return how far the model is ahead of each baseline on the same rows, by the upper bound of nll if it exists."""
    if not isinstance(log_z.value, float):
        return []
    bound, which = (log_z.value, "value") if log_z.upper is None else (log_z.upper, "upper bound")
    notes = []
    for baseline, scores in baselines:
        gain = mean_over_rows(-e - bound - scores["held_out"], "nats", NOT_FINITE)
        if isinstance(gain.value, float) and gain.se is not None:
            side = "ahead of" if gain.value >= 0 else "behind"
            per_row = f"{show(abs(gain.value), gain.se)} nats per row"
            notes.append(f"nll: by its {which} {per_row} {side} {baseline.words}, paired")
    return notes


def describe_units(data: FileData) -> str:
    """Return the units of a density of rows from a file, and how to convert it to the file's own."""
    change, sign = abs(data.log_unit), "add" if data.log_unit > 0 else "subtract"
    return f"nll: over the model's units (scaled columns or pixels); {sign} {change:.6g} nats for {data.unit}"


def picture(result: Result) -> Picture:
    """Draw the mean log-density of the model and of the other densities."""
    from ebm_cli.metric._likelihood_figure import likelihoods

    rows, scored, held_out_name = result.arrays
    return likelihoods(rows), (
        f"Mean log-density of the {scored}. Every density was fitted to the training rows only. The model's bar spans "
        f"the bounds of its log Z. At the right: the mean over {held_out_name}, its standard error over rows, and "
        "seconds to fit. Look for the model at the top."
    )
