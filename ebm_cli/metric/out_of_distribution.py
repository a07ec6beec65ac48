"""Out-of-distribution detection: whether the energy tells held-out rows from rows that are not from the data."""

import dataclasses
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data, row_space
from ebm_cli.density import AUTO, Baseline, fit_baselines, names_that_fit
from ebm_cli.energy import space_of
from ebm_cli.estimate import Estimate, Picture, Result
from ebm_cli.metric import NEEDS_DATA, EvaluationContext, shuffled
from ebm_cli.metric._guard_scores import DESCRIPTIONS, ENERGY, Score, as_numbers, scores_of
from ebm_cli.metric._other_rows import SETS, Source
from ebm_cli.metric._score_rows import rows_of
from ebm_cli.metric._separation import Separation, bootstrap, separation

ROWS = "rows"
TABLE = "out_of_distribution.csv"
MIN_ROWS, MAX_ROWS = 20, 2000
# Coordinates up to which the baseline is fitted: its covariance has their square.
MAX_COORDINATES = 4000
# Bounds of intervals: 2.5 % and 97.5 % of the resamplings.
INTERVAL = (0.025, 0.975)
CHANCE = 0.5
SEED = 0


class Detection(NamedTuple):
    """How well one score separates held-out rows from one set of other rows.

    resampled: the three numbers of each bootstrap resampling.
    """

    found: Separation
    resampled: Float[np.ndarray, "repeats 3"]

    def estimate(self, column: int) -> Estimate:
        """Return one of the three numbers with its bootstrap error and interval."""
        drawn = self.resampled[:, column]
        low, high = np.quantile(drawn, INTERVAL)
        return Estimate(float(self.found[column]), float(drawn.std(ddof=1)), float(low), float(high))


class OutOfDistribution:
    """AUROC, AUPR and FPR at 95 % TPR of held-out rows (positive) against other rows, for scores s(x).

    Scores are −E, −‖∇E‖, the typicality −|s(x) − ⟨s⟩_train| of either, and max_y p(y|x) of a classifier energy
    (Hendrycks and Gimpel, 2017; Grathwohl et al., 2020, section 5.3). AUROC is ½ for a score without information.
    `auroc`, `aupr` and `fpr95` are those of −E, as means over the sets; `auroc_SET` that of each set, and
    `auroc_by_SCORE` the mean of another score over the sets. All numbers are in out_of_distribution.csv. Standard
    errors and 95 % intervals are by bootstrap over the rows of both sides.

    A row is a caution if −E has no advantage on its set: the interval of AUROC reaches down to ½, or the density of a
    Gaussian fitted to the training rows (von Mises for angles, independent sites for discrete states) has a higher
    AUROC by a paired bootstrap.

    Other rows are as many as the held-out rows, up to 2,000, with the data's own noise.

    sets: names of sets (see `_other_rows`), or auto for all that the data can have; with `rows`, auto is none.
    rows: a user's own file or folder, as for `score=`, or None.
    bootstrap: resamplings (≥ 20).
    """

    needs_samples = False

    def __init__(self, sets: list[str] | str, rows: str | None, bootstrap: int) -> None:
        check.every(partial(check_sets, sets), partial(check.count, "bootstrap", bootstrap, minimum=20))
        self.sets = sets
        self.rows = rows
        self.bootstrap = bootstrap

    def __call__(self, context: EvaluationContext) -> Result:
        if context.data is None or context.held_out is None:
            raise InputError(NEEDS_DATA)
        if len(context.held_out.x) < MIN_ROWS:
            raise InputError(f"needs {MIN_ROWS} {context.held_out_name}, got {len(context.held_out.x)}")
        held_out = shuffled(context.held_out.x, MAX_ROWS)
        others = self._other_rows(context, context.data, held_out)
        scores: dict[str, Score] = dict(scores_of(context))
        baseline = fitted_baseline(context, context.data)
        if baseline is not None:
            scores[baseline.name] = lambda x: as_numbers(baseline.log_prob(x))
        of_held_out = {name: score(held_out) for name, score in scores.items()}
        found = {
            (at, name): self._detect(of_held_out[name], score(x))
            for at, x in others.items()
            for name, score in scores.items()
        }
        estimates = estimates_of(found, list(others), list(scores), baseline)
        energies = {at: -scores[ENERGY](x) for at, x in others.items()}
        notes = [f"out_of_distribution: {at}: {describe(at, self.rows)}, {len(x)} rows" for at, x in others.items()]
        notes.append(f"out_of_distribution: compared with {len(held_out)} {context.held_out_name}; {context.noise}")
        if baseline is None:
            reason = f"rows have more than {MAX_COORDINATES} coordinates"
            reason = "training rows are missing" if context.train is None else reason
            notes.append(f"out_of_distribution: a baseline density is left out, because {reason}")
        arrays = (-of_held_out[ENERGY], energies, {at: found[at, ENERGY].found.auroc for at in others})
        return Result(estimates, arrays, picture, notes, {TABLE: table(found, estimates, baseline)})

    def _other_rows(self, context: EvaluationContext, data: Data, held_out: Tensor) -> dict[str, Tensor]:
        """Return all sets of other rows. Raises InputError for sets that the data cannot have."""
        rng = torch.Generator().manual_seed(SEED)
        train = held_out if context.train is None else context.train.x
        space = space_of(context.energy)
        source = Source(held_out.cpu(), train.cpu(), context.event, space, data.noise, rng)
        fit = [name for name, each in SETS.items() if each.fits(source)]
        names = self.sets if isinstance(self.sets, list) else fit if self.rows is None else []
        if wrong := [name for name in names if name not in fit]:
            raise InputError(f"sets must be {' or '.join(fit)} for these rows, got {', '.join(wrong)}")
        made = {name: SETS[name].make(source).to(held_out) for name in names}
        if self.rows is not None:
            made[ROWS] = self._own_rows(context, data, source).to(held_out)
        if not made:
            raise InputError("sets must name at least one set, or rows a file")
        return made

    def _own_rows(self, context: EvaluationContext, data: Data, source: Source) -> Tensor:
        """Return the rows of the user's file, with noise as the held-out rows have."""
        try:
            rows = rows_of(context.energy, context.event, data, str(self.rows)).rows
        except InputError as error:
            raise InputError(*(message.replace("score=", "rows=", 1) for message in error.messages)) from None
        if len(rows.x) < MIN_ROWS:
            raise InputError(f"rows={self.rows} must have at least {MIN_ROWS} complete rows, got {len(rows.x)}")
        return source.noisy(shuffled(rows.x, MAX_ROWS).cpu())

    def _detect(self, held_out: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"]) -> Detection:
        return Detection(separation(held_out, other), bootstrap(held_out, other, SEED, self.bootstrap))


def check_sets(names: object) -> None:
    """Raise InputError, with all names that are wrong, unless `names` is auto, a set or a list of sets."""
    options = [AUTO, *SETS]
    if not isinstance(names, list):
        check.one_of("sets", names, options)
    else:
        check.every(*(partial(check.one_of, "sets", name, options[1:]) for name in names))


def fitted_baseline(context: EvaluationContext, data: Data) -> Baseline | None:
    """Return the simplest density of the training rows; None without them or for more than MAX_COORDINATES."""
    if context.train is None or context.train.x[0].numel() > MAX_COORDINATES:
        return None
    simplest = names_that_fit(AUTO, row_space(data))[0]
    return next(iter(fit_baselines(data, simplest, context.seed, lambda _: None)), None)


def estimates_of(
    found: dict[tuple[str, str], Detection], sets: list[str], scores: list[str], baseline: Baseline | None
) -> dict[str, Estimate]:
    """Return the means of −E over sets, its AUROC per set, and the mean AUROC of every other score."""
    per_set = {at: auroc_of_set(at, found, baseline) for at in sets}
    without = [at for at, row in per_set.items() if row.verdict == "caution"]
    reasons = [f"no advantage on {', '.join(without)}: see auroc_{without[0]}"] if without else []
    lowest = min(sets, key=lambda at: found[at, ENERGY].found.auroc)
    mean = float(np.mean([found[at, ENERGY].found.auroc for at in sets]))
    meaning = (
        f"−E ranks a held-out row above another row in {100 * mean:.0f} % of cases (50 % is chance); "
        f"{100 * found[lowest, ENERGY].found.auroc:.0f} % on {lowest}, the least"
    )
    rows: dict[str, Estimate] = {}
    for column, name in enumerate(Separation._fields):
        row = mean_over_sets([found[at, ENERGY] for at in sets]).estimate(column)
        rows[name] = row.with_caution(reasons)
    rows["auroc"] = rows["auroc"].with_meaning(meaning)
    rows |= {f"auroc_{at}": row for at, row in per_set.items()}
    for name in scores:
        if name != ENERGY:
            row = mean_over_sets([found[at, name] for at in sets]).estimate(0)
            rows[f"auroc_by_{name}"] = row.with_meaning(f"by {score_words(name, baseline)}")
    return rows


def mean_over_sets(each: list[Detection]) -> Detection:
    """Return the mean over sets. The resamplings of all sets have the same held-out rows."""
    found = Separation(*(float(value) for value in np.mean([one.found for one in each], axis=0)))
    return Detection(found, np.mean([one.resampled for one in each], axis=0))


def auroc_of_set(at: str, found: dict[tuple[str, str], Detection], baseline: Baseline | None) -> Estimate:
    """Return AUROC of −E against one set, a caution if −E has no advantage there."""
    own = found[at, ENERGY]
    row = own.estimate(0)
    meaning = f"−E ranks a held-out row above one of {at} in {100 * own.found.auroc:.0f} % of cases"
    reasons = []
    assert row.lower is not None and row.upper is not None
    if row.upper < CHANCE:
        reasons.append(f"the energy has no advantage: it is lower on {at} than on held-out rows (AUROC below 0.5)")
    elif row.lower <= CHANCE:
        reasons.append(f"the energy has no advantage on {at}: its AUROC cannot be told from 0.5, which is chance")
    if baseline is not None:
        other = found[at, baseline.name]
        ahead = other.resampled[:, 0] - own.resampled[:, 0]
        if float(np.quantile(ahead, INTERVAL[0])) > 0:
            reasons.append(
                f"the energy has no advantage on {at}: the baseline {baseline.name} has AUROC {other.found.auroc:.3f}"
            )
    return dataclasses.replace(row, meaning=meaning).with_caution(reasons)


def score_words(name: str, baseline: Baseline | None) -> str:
    """Return what a score is."""
    if baseline is not None and name == baseline.name:
        return f"log density of a baseline fitted to training rows: {baseline.words}"
    return DESCRIPTIONS[name]


def describe(at: str, path: str | None) -> str:
    """Return what a set of other rows is."""
    return f"{SETS[at].distance}, {SETS[at].description}" if at in SETS else f"rows of {path}"


def table(
    found: dict[tuple[str, str], Detection], estimates: dict[str, Estimate], baseline: Baseline | None
) -> dict[str, list[object]]:
    """Return all numbers, one line per set and score."""
    columns: dict[str, list[object]] = {"set": [at for at, _ in found], "score": [name for _, name in found]}
    columns["distance"] = [SETS[at].distance if at in SETS else "" for at, _ in found]
    columns["of"] = [score_words(name, baseline) for _, name in found]
    for column, name in enumerate(Separation._fields):
        rows = [each.estimate(column) for each in found.values()]
        columns |= {name: [row.value for row in rows], f"{name}_se": [row.se for row in rows]}
        columns |= {f"{name}_lower": [row.lower for row in rows], f"{name}_upper": [row.upper for row in rows]}
    columns["reason"] = [estimates[f"auroc_{at}"].reason if name == ENERGY else "" for at, name in found]
    return columns


def picture(result: Result) -> Picture:
    """Draw the ROC curves of −E and the energies of every set."""
    from ebm_cli.metric._out_of_distribution_figure import draw

    return draw(*result.arrays)
