"""Negative log-likelihood of held-out rows, with the certificate that its log Z has, beside other densities'."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data, NamesRows, ReadsFiles, Split
from ebm_cli.density import NAMES, Baseline, fitted
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject
from ebm_cli.metric._likelihoods import Scored, likelihoods
from ebm_cli.partition.recipe import Recipe, plain
from ebm_cli.wells.modes import values

SCORES = "scores.csv"


@dataclass(frozen=True)
class NLL(Recipe):
    """nll = ⟨E(x)/T⟩ + log Z(T) in nats a row, x the held-out rows; nll_train the same of training rows.

    bits_per_dim = nll/(d·log 2). All are of a density over rows as the model sees them: with the data's noise σ added,
    in the model's units (pictures in [−1, 1]), so that they compare with other densities of the same noised rows and
    with no code length of whole grey levels. se is of the rows alone, sd(E/T)/√n; lower (optimistic) and upper
    (pessimistic) put the ends of log Z in the place of its value, see `log_z`. Rows without noise that lie in a lower
    dimension, or repeat, have no density to score. Each row's score goes to scores.csv.

    baselines: densities fitted to the training rows that are scored beside the model, of gaussian, mixture, kernel and
    flow (where zuko is installed), as nll_NAME; [] for none. Other fields: of log Z, see `Recipe`; found once where
    metric.log_z has the same.
    """

    baselines: list[str]

    needs_samples: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check.every(super().__post_init__, lambda: densities_named(self.baselines))

    def __call__(self, subject: Subject) -> Finding:
        if subject.data is None or subject.held_out is None:
            raise InputError("needs data to score: run=RUN of a trained model, or data=NAME")
        recipe = plain(self)
        told = recipe in subject.partitions
        found = subject.log_z(recipe)
        parts: dict[Split, Tensor] = {"held_out": subject.held_out.x}
        if subject.train is not None:
            parts["train"] = subject.train.x
        e: dict[Split, np.ndarray] = {
            part: energies_of(subject.energy, subject.temperature, x) for part, x in parts.items()
        }
        bits = 1 / (math.prod(subject.event) * math.log(2))
        no_train = refused(f"nll_train {subject.train_missing}", "nats")
        estimates = {
            "nll": scored(e["held_out"], found.estimate, 1.0, "nats"),
            "nll_train": scored(e["train"], found.estimate, 1.0, "nats") if "train" in e else no_train,
            "bits_per_dim": scored(e["held_out"], found.estimate, bits, "bits"),
        }
        σ = subject.data.noise
        carried = f"with the data's noise, σ = {σ:g}, drawn once" if σ else "which carry no noise"
        words: dict[Split, str] = {"held_out": subject.compared, "train": "training rows"}
        notes = [f"nll: of {len(e['held_out'])} {subject.compared}, {carried}", *([] if told else found.notes)]
        names = self.baselines
        if "train" not in e and names:
            notes.append("nll: other densities are left out, as they are fitted to training rows")
            names = []
        if isinstance(subject.data, ReadsFiles):
            notes.append(units(subject.data))
        beside = fitted(subject.data, names, subject.seed, notes.append, subject.terminal.stopping)
        densities: dict[str, dict[Split, np.ndarray]]
        densities = {b.name: {part: b.log_prob(x).double().cpu().numpy() for part, x in parts.items()} for b in beside}
        estimates |= {f"nll_{name}": of_rows(-each["held_out"]) for name, each in densities.items()}
        estimates["nll"] = beside_the_best(estimates["nll"], {name: estimates[f"nll_{name}"] for name in densities})
        notes += margins(e["held_out"], found.estimate, beside, densities)
        table = {SCORES: scores(e, found.estimate, densities, names_of(subject.data, e))}
        lines = [*own(estimates), *(line(b, densities[b.name]) for b in beside)]
        picture = likelihoods(lines) if lines else None
        caption = (
            f"Mean log-density of the {' and '.join(f'{len(v)} {words[k]}' for k, v in e.items())}, {carried}; every "
            "density was fitted to the training rows alone. The model's bar spans the two ends of its log Z. At the "
            f"right: the mean over {subject.compared}, its standard error over rows, and seconds to fit."
        )
        return Finding(estimates, picture, caption, notes, table)


def densities_named(names: object) -> None:
    """Raise InputError, with all that are none, unless `names` is a list of baselines."""
    if not isinstance(names, list):
        raise InputError(f"baselines must be a list such as [gaussian,mixture], got {names}")
    check.every(*(partial(check.one_of, "baselines", name, NAMES) for name in names))


def energies_of(energy: nn.Module, temperature: float, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, " n"]:
    """E/T of each row."""
    return (values(energy, x).double() / temperature).cpu().numpy()


def scored(e: Float[np.ndarray, " n"], log_z: Estimate, factor: float, unit: str) -> Estimate:
    """⟨E/T⟩ + log Z times `factor`, with the ends and the verdict of log Z."""
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


def of_rows(nll: Float[np.ndarray, " n"]) -> Estimate:
    """The mean over rows, refused where it is not finite."""
    if not np.isfinite(nll).all():
        return refused(f"{(~np.isfinite(nll)).sum()} of {len(nll)} rows have density 0", "nats")
    se = float(nll.std(ddof=1) / len(nll) ** 0.5) if len(nll) > 1 else None
    return Estimate(float(nll.mean()), se=se, unit="nats")


def beside_the_best(nll: Estimate, others: dict[str, Estimate]) -> Estimate:
    """The row nll with what it means: by how much its pessimistic end is below the least nll of another density."""
    known = {name: row.value for name, row in others.items() if isinstance(row.value, float)}
    if not isinstance(nll.value, float) or not known:
        return nll
    best = min(known, key=lambda name: known[name])
    less = known[best] - (nll.value if nll.upper is None else nll.upper)
    return nll.with_meaning(
        f"held-out rows are {abs(less):.2g} nats {'more' if less > 0 else 'less'} likely than under the best simple "
        f"density, {best}"
    )


def margins(
    e: Float[np.ndarray, " n"],
    log_z: Estimate,
    beside: list[Baseline],
    densities: dict[str, dict[Split, np.ndarray]],
) -> list[str]:
    """By how much the model is ahead of each baseline on the same rows, from its pessimistic end where it has one."""
    if not isinstance(log_z.value, float) or not np.isfinite(e).all():
        return []
    end, which = (log_z.value, "value") if log_z.upper is None else (log_z.upper, "pessimistic end")
    said = []
    for b in beside:
        ahead = -e - end - densities[b.name]["held_out"]
        if np.isfinite(ahead).all() and len(ahead) > 1:
            se = float(ahead.std(ddof=1) / len(ahead) ** 0.5)
            mean = float(ahead.mean())
            side = "ahead of" if mean >= 0 else "behind"
            said.append(f"nll: by its {which} {show(abs(mean), se)} nats a row {side} {b.words}, paired")
    return said


def scores(
    e: dict[Split, np.ndarray],
    log_z: Estimate,
    densities: dict[str, dict[Split, np.ndarray]],
    names: tuple[str, list[Any]],
) -> dict[str, Any]:
    """A line for each row, in the set's own order: E/T, log densities in nats, the ends where there are any.

    names: what a row is called, and the name of each.
    """
    every = np.concatenate(list(e.values()))
    kind, rows = names
    columns: dict[str, Any] = {"part": [part for part, each in e.items() for _ in each], kind: rows, "energy": every}
    ends = {"log_density": log_z.value, "pessimistic": log_z.upper, "optimistic": log_z.lower}
    columns |= {name: -every - end for name, end in ends.items() if isinstance(end, float)}
    return columns | {name: np.concatenate([each[part] for part in e]) for name, each in densities.items()}


def names_of(data: Data, e: dict[Split, np.ndarray]) -> tuple[str, list[Any]]:
    """What the user's file calls the rows of each part; their numbers in the part for data without a file."""
    found = {part: data.origin(part) if isinstance(data, NamesRows) else None for part in e}
    kinds = {origin[0] for origin in found.values() if origin is not None}
    if len(kinds) != 1 or None in found.values():
        return "row", [row for each in e.values() for row in range(len(each))]
    return kinds.pop(), [name for origin in found.values() if origin is not None for name in origin[1]]


def units(data: ReadsFiles) -> str:
    """In which units a density of rows from a file is, and how to get it in the file's own."""
    change, sign = abs(data.log_unit), "add" if data.log_unit > 0 else "subtract"
    return f"nll: over the model's units (scaled columns or pixels); {sign} {change:.6g} nats for {data.unit}"


def own(estimates: dict[str, Estimate]) -> list[Scored]:
    """The model's own line, none where its likelihood is refused."""
    nll, train = estimates["nll"], estimates["nll_train"]
    if not isinstance(nll.value, float):
        return []
    lower, upper = (None if end is None else -end for end in (nll.upper, nll.lower))
    se = nll.se if isinstance(nll.se, float) else None
    on_train = -train.value if isinstance(train.value, float) else None
    return [Scored("this model", -nll.value, se, lower, upper, on_train, None, model=True)]


def line(b: Baseline, log_densities: dict[Split, np.ndarray]) -> Scored:
    """A baseline's line."""
    held_out = of_rows(log_densities["held_out"])
    se = held_out.se if isinstance(held_out.se, float) else None
    mean = float(log_densities["held_out"].mean())
    return Scored(b.words, mean, se, None, None, float(log_densities["train"].mean()), b.seconds, model=False)
