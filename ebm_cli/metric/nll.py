"""Negative log-likelihood of held-out rows with the bounds of its log Z, compared with other densities."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data, NamesRows, ReadsFiles, Split
from ebm_cli.density import NAMES, Baseline, fit_baselines
from ebm_cli.energy import CONTINUOUS
from ebm_cli.estimate import Estimate, Picture, Result, refused, show
from ebm_cli.metric import EvaluationContext
from ebm_cli.partition import LogZResult
from ebm_cli.partition.settings import LogZSettings, log_z_settings
from ebm_cli.wells.modes import values

SCORES = "scores.csv"
NEEDS_DATA = "needs data to score. Type run=RUN of a trained model, or data=NAME"


@dataclass(frozen=True)
class LikelihoodRow:
    """One density in the picture, in nats per row. Values are None if unknown.

    words: what the density is.
    held_out, se: mean log-density of held-out rows and its standard error over them.
    lower, upper: with the bounds of log Z.
    train: mean log-density of training rows.
    seconds: time to fit.
    model: True for the model that the others are compared with.
    """

    words: str
    held_out: float
    se: float | None
    lower: float | None
    upper: float | None
    train: float | None
    seconds: float | None
    model: bool


class Fitted(NamedTuple):
    """Other densities, and the log-density of the rows of each part by the density's name."""

    baselines: list[Baseline]
    log_densities: dict[str, dict[Split, np.ndarray]]


class Shown(NamedTuple):
    """The rows of the picture, and what was scored in words."""

    rows: list[LikelihoodRow]
    scored: str
    compared: str


@dataclass(frozen=True)
class NLL(LogZSettings):
    """nll = ⟨E(x)/T⟩ + log Z(T) in nats per row, x the held-out rows; nll_train for training rows.

    bits_per_dim = nll/(d·log 2). All are of a density over rows as the model sees them: with the data's noise σ added,
    in the model's units (pictures in [−1, 1]). They can be compared with other densities of the same noised rows, not
    with code lengths of integer gray levels. se is over the rows only, sd(E/T)/√n; lower and upper replace log Z by its
    lower and upper bound, see `log_z`. Rows without noise that lie in a lower dimension, or repeat, have no density to
    score. Each row's score goes to scores.csv.

    baselines: densities fitted to the training rows and scored as nll_NAME: gaussian, mixture, kernel and flow (if zuko
    is installed); [] for none.
    Other fields: of log Z, see `LogZSettings`; computed once if metric.log_z has the same.
    """

    baselines: list[str]

    spaces = CONTINUOUS
    needs_samples: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check.every(super().__post_init__, lambda: check_baselines(self.baselines))

    def __call__(self, context: EvaluationContext) -> Result:
        data = context.data
        if data is None or context.held_out is None:
            raise InputError(NEEDS_DATA)
        settings = log_z_settings(self)
        already_reported = settings in context.partitions
        found = context.log_z(settings)
        parts: dict[Split, Tensor] = {"held_out": context.held_out.x}
        if context.train is not None:
            parts["train"] = context.train.x
        e: dict[Split, np.ndarray] = {
            k: reduced_energies(context.energy, context.temperature, x) for k, x in parts.items()
        }
        noise = f"with the data's noise, σ = {data.noise:g}, drawn once" if data.noise else "without noise"
        notes = [f"nll: of {len(e['held_out'])} {context.compared}, {noise}"]
        notes += [] if already_reported else found.notes
        other = self._fit(context, data, parts, notes)
        estimates = nll_rows(context, e, found, other)
        notes += gain_over_baselines(e["held_out"], found.estimate, other)
        table = {SCORES: score_table(e, found.estimate, other.log_densities, row_names(data, e))}
        lines = [*model_row(estimates), *(baseline_row(b, other.log_densities[b.name]) for b in other.baselines)]
        words: dict[Split, str] = {"held_out": context.compared, "train": "training rows"}
        scored = " and ".join(f"{len(values)} {words[part]}" for part, values in e.items())
        shown = Shown(lines, f"{scored}, {noise}", context.compared)
        return Result(estimates, shown, picture if lines else None, notes, table)

    def _fit(self, context: EvaluationContext, data: Data, parts: dict[Split, Tensor], notes: list[str]) -> Fitted:
        """Fit the other densities and score the rows of each part."""
        names = self.baselines
        if "train" not in parts and names:
            notes.append("nll: other densities are left out, as they are fitted to training rows")
            names = []
        if isinstance(data, ReadsFiles):
            notes.append(describe_units(data))
        baselines = fit_baselines(data, names, context.seed, notes.append, context.terminal.stopping)
        scores: dict[str, dict[Split, np.ndarray]] = {
            b.name: {part: b.log_prob(x).double().cpu().numpy() for part, x in parts.items()} for b in baselines
        }
        return Fitted(baselines, scores)


def check_baselines(names: object) -> None:
    """Raise InputError, with all names that are wrong, unless `names` is a list of baselines."""
    if not isinstance(names, list):
        raise InputError(f"baselines must be a list such as [gaussian,mixture], got {names}")
    check.every(*(partial(check.one_of, "baselines", name, NAMES) for name in names))


def reduced_energies(energy: nn.Module, temperature: float, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, " n"]:
    """Return E/T of each row."""
    return (values(energy, x).double() / temperature).cpu().numpy()


def nll_rows(
    context: EvaluationContext, e: dict[Split, np.ndarray], found: LogZResult, other: Fitted
) -> dict[str, Estimate]:
    """Return nll, nll_train, bits_per_dim and nll_NAME of the other densities."""
    bits = 1 / (math.prod(context.event) * math.log(2))
    train = refused(f"nll_train {context.train_missing}", "nats")
    if "train" in e:
        train = nll_estimate(e["train"], found.estimate, 1.0, "nats")
    others = {f"nll_{name}": mean_nll(-each["held_out"]) for name, each in other.log_densities.items()}
    known = {name: others[f"nll_{name}"] for name in other.log_densities}
    return {
        "nll": with_comparison(nll_estimate(e["held_out"], found.estimate, 1.0, "nats"), known),
        "nll_train": train,
        "bits_per_dim": nll_estimate(e["held_out"], found.estimate, bits, "bits"),
    } | others


def nll_estimate(e: Float[np.ndarray, " n"], log_z: Estimate, factor: float, unit: str) -> Estimate:
    """Return ⟨E/T⟩ + log Z times `factor`, with the bounds and the verdict of log Z."""
    if not isinstance(log_z.value, float):
        return refused(f"no log Z: {log_z.reason}", unit)
    if not np.isfinite(e).all():
        return refused(f"the energy of {(~np.isfinite(e)).sum()} of {len(e)} rows is not finite", unit)
    mean, se = float(e.mean()), float(e.std(ddof=1) / len(e) ** 0.5) if len(e) > 1 else None

    def total(log_z: float | None) -> float | None:
        return None if log_z is None else factor * (mean + log_z)

    return Estimate(
        factor * (mean + log_z.value),
        se=None if se is None else factor * se,
        lower=total(log_z.lower),
        upper=total(log_z.upper),
        unit=unit,
        verdict=log_z.verdict,
        reasons=(f"log Z: {log_z.reason}",) if log_z.verdict == "caution" else (),
    )


def mean_nll(nll: Float[np.ndarray, " n"]) -> Estimate:
    """Return the mean over rows, refused if it is not finite."""
    if not np.isfinite(nll).all():
        return refused(f"{(~np.isfinite(nll)).sum()} of {len(nll)} rows have density 0", "nats")
    se = float(nll.std(ddof=1) / len(nll) ** 0.5) if len(nll) > 1 else None
    return Estimate(float(nll.mean()), se=se, unit="nats")


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


def gain_over_baselines(e: Float[np.ndarray, " n"], log_z: Estimate, other: Fitted) -> list[str]:
    """Return how far the model is ahead of each baseline on the same rows, from its upper bound if there is one."""
    if not isinstance(log_z.value, float) or not np.isfinite(e).all():
        return []
    bound, which = (log_z.value, "value") if log_z.upper is None else (log_z.upper, "upper bound")
    notes = []
    for b in other.baselines:
        ahead = -e - bound - other.log_densities[b.name]["held_out"]
        if np.isfinite(ahead).all() and len(ahead) > 1:
            mean, se = float(ahead.mean()), float(ahead.std(ddof=1) / len(ahead) ** 0.5)
            side = "ahead of" if mean >= 0 else "behind"
            notes.append(f"nll: by its {which} {show(abs(mean), se)} nats per row {side} {b.words}, paired")
    return notes


def score_table(
    e: dict[Split, np.ndarray],
    log_z: Estimate,
    densities: dict[str, dict[Split, np.ndarray]],
    names: tuple[str, list[Any]],
) -> dict[str, Any]:
    """Return one line per row, in the set's own order: E/T, log densities in nats, and those with log Z's bounds.

    names: what a row is called, and the name of each.
    """
    every = np.concatenate(list(e.values()))
    kind, rows = names
    columns: dict[str, Any] = {"part": [part for part, each in e.items() for _ in each], kind: rows, "energy": every}
    log_zs = {"log_density": log_z.value, "pessimistic": log_z.upper, "optimistic": log_z.lower}
    columns |= {name: -every - value for name, value in log_zs.items() if isinstance(value, float)}
    return columns | {name: np.concatenate([each[part] for part in e]) for name, each in densities.items()}


def row_names(data: Data, e: dict[Split, np.ndarray]) -> tuple[str, list[Any]]:
    """Return what the user's file calls the rows of each part; their numbers in the part for data without a file."""
    found = {part: data.origin(part) if isinstance(data, NamesRows) else None for part in e}
    kinds = {origin[0] for origin in found.values() if origin is not None}
    if len(kinds) != 1 or None in found.values():
        return "row", [row for each in e.values() for row in range(len(each))]
    return kinds.pop(), [name for origin in found.values() if origin is not None for name in origin[1]]


def describe_units(data: ReadsFiles) -> str:
    """Return the units of a density of rows from a file, and how to convert it to the file's own."""
    change, sign = abs(data.log_unit), "add" if data.log_unit > 0 else "subtract"
    return f"nll: over the model's units (scaled columns or pixels); {sign} {change:.6g} nats for {data.unit}"


def model_row(estimates: dict[str, Estimate]) -> list[LikelihoodRow]:
    """Return the model's own row; an empty list if its likelihood is refused."""
    nll, train = estimates["nll"], estimates["nll_train"]
    if not isinstance(nll.value, float):
        return []
    lower, upper = (None if bound is None else -bound for bound in (nll.upper, nll.lower))
    se = nll.se if isinstance(nll.se, float) else None
    on_train = -train.value if isinstance(train.value, float) else None
    return [LikelihoodRow("this model", -nll.value, se, lower, upper, on_train, None, model=True)]


def baseline_row(b: Baseline, log_densities: dict[Split, np.ndarray]) -> LikelihoodRow:
    """Return a baseline's row."""
    held_out = mean_nll(log_densities["held_out"])
    se = held_out.se if isinstance(held_out.se, float) else None
    mean = float(log_densities["held_out"].mean())
    return LikelihoodRow(b.words, mean, se, None, None, float(log_densities["train"].mean()), b.seconds, model=False)


def picture(result: Result) -> Picture:
    """Draw the mean log-density of the model and of the other densities."""
    from ebm_cli.metric._likelihood_figure import likelihoods

    rows, scored, compared = result.arrays
    return likelihoods(rows), (
        f"Mean log-density of the {scored}. Every density was fitted to the training rows only. The model's bar spans "
        f"the bounds of its log Z. At the right: the mean over {compared}, its standard error over rows, and seconds "
        "to fit. Look for the model at the top."
    )
