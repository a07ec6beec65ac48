"""Scores of the rows of a user's own file: energy, log-density in the file's units, and a conformal p-value."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.data import FileRows
from ebm_cli.estimate import Estimate, Picture, Result, refused
from ebm_cli.metric import NOT_FINITE, EvaluationContext, mean_over_rows
from ebm_cli.metric._anomalies import anomaly_labels, as_cells, detection, threshold_estimate
from ebm_cli.metric._score_rows import ScoredRows
from ebm_cli.metric._score_table import SCORES
from ebm_cli.metric._unusual_columns import unusual_columns
from ebm_cli.metric.nll import nll_estimate
from ebm_cli.partition import LogZResult
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.run.terminal import Stopped
from ebm_cli.wells.modes import values

BINS = 40
NO_HELD_OUT = "held-out rows to compare with are missing. Type run=RUN of a model that was trained on data"
# Prefix of a column whose name the file has already.
PREFIX = "ebm_"


@dataclass(frozen=True)
class AnomalyRule:
    """Which rows are called anomalies.

    false_alarm: largest probability that a usual row is (in (0, 1)).
    label: column of the scored file that is 1 for anomalies and 0 for usual rows; None if there is none.
    """

    false_alarm: float = 0.05
    label: str | None = None


def score(context: EvaluationContext, scored: ScoredRows, rule: AnomalyRule = AnomalyRule()) -> Result:
    """Score every row of a file, in the file's own order, next to the file's own columns.

    energy: E(x).
    log_density: log p(x) = −E(x)/T − log Z − Σ log s in nats, s the file's units per unit of the model's coordinates.
        log_density_lower and log_density_upper use the bounds of log Z instead of its value.
    p_value: (1 + number of held-out rows with E ≥ E(x))/(1 + number of held-out rows), the conformal p-value of
        p(x) (Vovk, Gammerman and Shafer, 2005, eq. 2.20). For a row from the distribution of the held-out rows,
        P(p ≤ α) ≤ α.
    anomaly: 1 if p_value ≤ false_alarm, otherwise 0.
    unusual: the columns of an anomaly that make it unusual, each with the fall of E if it gets a usual value.

    All rows are scored without noise. Rows with missing values have no score.
    """
    rows, log_unit, unit = scored
    labels = anomaly_labels(rows, rule.label)
    T, e = context.temperature, energies(context, rows.x)
    found = log_z(context)
    columns = {"energy": e} | log_densities(e, T, found.estimate, log_unit)
    estimates = {
        "rows_scored": Estimate(float(len(e))),
        "energy": mean_over_rows(e, "energy", NOT_FINITE),
        "log_density": mean_log_density(e, T, found.estimate, log_unit),
        "rare_fraction": refused(NO_HELD_OUT),
    }
    notes = [*found.notes, f"log_density: in nats per row, over {unit}; {describe_unit(log_unit)}"]
    held_out = None if context.data is None else context.data.split("held_out")
    if held_out is None:
        notes.append(f"p_value: refused, {NO_HELD_OUT}")
        return Result(estimates, notes=notes, tables={SCORES: with_own_columns(rows, columns, notes)})
    usual = held_out.x if held_out.clean is None else held_out.clean
    reference = energies(context, usual)
    columns["p_value"] = p = conformal(e, reference)
    called = p <= rule.false_alarm
    texts, unexplained = unusual_columns(context, rows.x, e, called, usual)
    columns |= {"anomaly": as_cells(called), "unusual": texts}
    estimates["rare_fraction"] = rare_fraction(float(called.mean()), len(p), rule.false_alarm)
    estimates["anomaly_threshold"] = threshold_estimate(reference, rule.false_alarm)
    estimates |= {} if labels is None else detection(e, labels, called)
    notes += notes_of(called, reference, rule.false_alarm, unexplained)
    drawn = picture if np.isfinite(np.concatenate([e, reference])).any() else None
    arrays = (e, reference, float(called.mean()), rule.false_alarm, estimates["anomaly_threshold"].value)
    return Result(estimates, arrays, drawn, notes, {SCORES: with_own_columns(rows, columns, notes)})


def notes_of(
    called: Bool[np.ndarray, " n"], reference: Float[np.ndarray, " m"], false_alarm: float, unexplained: int
) -> list[str]:
    """Return what the p-values are compared with, and how many anomalies have no columns named."""
    notes = [
        f"p_value: compared with {len(reference)} held-out rows, so its smallest possible value is "
        f"{1 / (1 + len(reference)):.3g}; {called.mean():.1%} of the rows have p_value ≤ {false_alarm:g}, and "
        f"{100 * false_alarm:.3g}% are expected of rows like these"
    ]
    if unexplained:
        notes.append(f"unusual: {unexplained} anomalies with lower energies have no columns, which would take too long")
    return notes


def log_z(context: EvaluationContext) -> LogZResult:
    """Return log Z; refused if the run is stopped before it is found. Energies and p-values do not need it."""
    try:
        return context.log_z(DEFAULT_SETTINGS)
    except Stopped:
        return LogZResult(refused("stopped before log Z was found", "nats"))


def rare_fraction(rare: float, rows: int, false_alarm: float) -> Estimate:
    """Return the fraction of rows with p_value ≤ false_alarm, with its binomial standard error."""
    usual = f"one held-out row in {1 / false_alarm:.3g} ({100 * false_alarm:.3g} % is usual)"
    meaning = f"{100 * rare:.0f} % of the rows are as rare as {usual}"
    return Estimate(rare, se=(rare * (1 - rare) / rows) ** 0.5, meaning=meaning)


def energies(context: EvaluationContext, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, " n"]:
    """Return E of each row, in double precision."""
    return values(context.energy, x).double().cpu().numpy()


def conformal(e: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """Return for each row (1 + number of held-out rows with the same or a higher energy)/(1 + m)."""
    # A row whose energy is not a number counts as less likely than all others.
    e, held_out = (np.where(np.isnan(each), np.inf, each) for each in (e, held_out))
    higher_or_equal = len(held_out) - np.searchsorted(np.sort(held_out), e, side="left")
    return (1 + higher_or_equal) / (1 + len(held_out))


def log_densities(
    e: Float[np.ndarray, " n"], T: float, log_z: Estimate, log_unit: float
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return the columns of log-densities; empty without a value of log Z."""
    log_zs = {"log_density": log_z.value, "log_density_lower": log_z.upper, "log_density_upper": log_z.lower}
    return {name: -e / T - value - log_unit for name, value in log_zs.items() if isinstance(value, float)}


def mean_log_density(e: Float[np.ndarray, " n"], T: float, log_z: Estimate, log_unit: float) -> Estimate:
    """Return the mean log-density of the rows, with the bounds and the verdict of log Z."""
    nll = nll_estimate(e / T, log_z, 1.0, "nats")
    if not isinstance(nll.value, float):
        return nll
    lower, upper = (None if bound is None else -bound - log_unit for bound in (nll.upper, nll.lower))
    return dataclasses.replace(nll, value=-nll.value - log_unit, lower=lower, upper=upper)


def describe_unit(log_unit: float) -> str:
    """Describe how the file's units change a log-density."""
    if log_unit == 0:
        return "these are the model's units too"
    return f"the model's own units give {abs(log_unit):.6g} nats {'more' if log_unit > 0 else 'less'}"


def with_own_columns(rows: FileRows, columns: dict[str, np.ndarray], notes: list[str]) -> Any:
    """Return the file's own columns, then the scores; cells of rows without a score are empty."""
    table = rows.table.copy()
    for name, scores in columns.items():
        full = np.full(len(rows.complete), "" if scores.dtype == object else np.nan, dtype=scores.dtype)
        full[rows.complete] = scores
        own = name
        while own in table.columns:
            own = PREFIX + own
        if own != name:
            notes.append(f"score: the file has its own column {name!r}, so the new column is called {own!r}")
        table.insert(len(table.columns), own, full)
    return table


def picture(result: Result) -> Picture:
    """Draw energies of the scored rows and of the held-out rows on one axis."""
    from ebm_cli import figure

    e, held_out, rare, false_alarm, threshold = result.arrays
    both = np.concatenate([each[np.isfinite(each)] for each in (e, held_out)])
    drawn, (axes,) = figure.new()
    # Rows that are thousands of nats away would press all others into one bin.
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for each, label, color in ((held_out, "held-out rows", figure.BLUE), (e, "scored rows", figure.ORANGE)):
        axes.hist(np.clip(each, edges[0], edges[-1]), edges, density=True, alpha=0.55, color=color, label=label)
    if threshold is not None:
        at = float(np.clip(threshold, edges[0], edges[-1]))
        axes.axvline(at, color=figure.BLACK, linewidth=1.0, linestyle="--", label="anomaly threshold")
    axes.set(xlabel="energy E(x); outer bins contain all values beyond", ylabel="density of rows")
    axes.legend()
    return drawn, (
        f"Energies of the {len(e)} scored rows and of {len(held_out)} held-out rows. {rare:.1%} of the scored rows "
        f"have p_value ≤ {false_alarm:g}. Look for scored rows on the right: they are less likely than held-out rows."
    )
