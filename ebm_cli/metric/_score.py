"""Scores of the rows of a user's own file: energy, log-density in the file's units, and a conformal p-value."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import FileRows
from ebm_cli.estimate import Estimate, Picture, Result, refused
from ebm_cli.metric import EvaluationContext
from ebm_cli.metric._score_rows import ScoredRows
from ebm_cli.partition import LogZResult
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.run.terminal import Stopped
from ebm_cli.wells.modes import values

SCORES = "scores.csv"
# A row is rare if its p-value is at most this.
RARE = 0.05
BINS = 40
NO_HELD_OUT = "there are no held-out rows to compare with. Type run=RUN of a model that was trained on data"
# Prefix of a column whose name the file has already.
PREFIX = "ebm_"


class Shown(NamedTuple):
    """Energies of the scored rows and of the held-out rows, and the fraction of rare rows."""

    scored: Float[np.ndarray, " n"]
    held_out: Float[np.ndarray, " m"]
    rare: float


def score(context: EvaluationContext, scored: ScoredRows) -> Result:
    """Score every row of a file, in the file's own order, next to the file's own columns.

    energy: E(x). log_density: log p(x) = −E(x)/T − log Z − Σ log s, s the file's units per unit of the model's
    coordinates, in nats; log_density_lower and log_density_upper use the bounds of log Z instead of its value.
    p_value: (1 + number of held-out rows with E ≥ E(x))/(1 + number of held-out rows), the conformal p-value of
    p(x) (Vovk, Gammerman and Shafer, 2005, eq. 2.20): for a row from the distribution of the held-out ones,
    P(p ≤ α) ≤ α. All rows are scored without noise. Rows with missing values have no score.
    """
    rows, log_unit, unit = scored
    T, e = context.temperature, energies(context, rows.x)
    found = log_z(context)
    columns = {"energy": e} | log_densities(e, T, found.estimate, log_unit)
    estimates = {
        "rows_scored": Estimate(float(len(e))),
        "energy": mean_over_rows(e, "energy"),
        "log_density": mean_log_density(e, T, found.estimate, log_unit),
        "rare_fraction": refused(NO_HELD_OUT),
    }
    notes = [*found.notes, f"log_density: in nats per row, over {unit}; {describe_unit(log_unit)}"]
    held_out = None if context.data is None else context.data.split("held_out")
    if held_out is None:
        notes.append(f"p_value: refused, {NO_HELD_OUT}")
        return Result(estimates, notes=notes, tables={SCORES: with_own_columns(rows, columns, notes)})
    reference = energies(context, held_out.x if held_out.clean is None else held_out.clean)
    columns["p_value"] = p = conformal(e, reference)
    rare = float((p <= RARE).mean())
    estimates["rare_fraction"] = rare_fraction(rare, len(p))
    notes.append(
        f"p_value: compared with {len(reference)} held-out rows, so its smallest possible value is "
        f"{1 / (1 + len(reference)):.3g}; {rare:.1%} of the rows have p_value ≤ {RARE:g}, and {RARE:.0%} are expected "
        "of rows like these"
    )
    drawn = picture if np.isfinite(np.concatenate([e, reference])).any() else None
    return Result(estimates, Shown(e, reference, rare), drawn, notes, {SCORES: with_own_columns(rows, columns, notes)})


def log_z(context: EvaluationContext) -> LogZResult:
    """Return log Z, refused if the run is stopped before it was found. Energies and p-values do not need it."""
    try:
        return context.log_z(DEFAULT_SETTINGS)
    except Stopped:
        return LogZResult(refused("stopped before log Z was found", "nats"))


def rare_fraction(rare: float, rows: int) -> Estimate:
    """Return the fraction of rows with p_value ≤ RARE, with its binomial standard error."""
    usual = f"one held-out row in {1 / RARE:.0f} ({100 * RARE:.0f} % is usual)"
    meaning = f"{100 * rare:.0f} % of the rows are as rare as {usual}"
    return Estimate(rare, se=(rare * (1 - rare) / rows) ** 0.5, meaning=meaning)


def energies(context: EvaluationContext, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, " n"]:
    """Return E of each row, in double precision."""
    return values(context.energy, x).double().cpu().numpy()


def conformal(e: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """Return (1 + number of held-out rows that are no likelier than each row)/(1 + m)."""
    # An energy that is not a number counts as less likely than all.
    e, held_out = (np.where(np.isnan(each), np.inf, each) for each in (e, held_out))
    no_likelier = len(held_out) - np.searchsorted(np.sort(held_out), e, side="left")
    return (1 + no_likelier) / (1 + len(held_out))


def log_densities(
    e: Float[np.ndarray, " n"], T: float, log_z: Estimate, log_unit: float
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return the columns of log-densities; empty without a value of log Z."""
    log_zs = {"log_density": log_z.value, "log_density_lower": log_z.upper, "log_density_upper": log_z.lower}
    return {name: -e / T - value - log_unit for name, value in log_zs.items() if isinstance(value, float)}


def mean_over_rows(e: Float[np.ndarray, " n"], unit: str) -> Estimate:
    """Return the mean over rows with its standard error."""
    if not np.isfinite(e).all():
        return refused(f"the energy of {(~np.isfinite(e)).sum()} of {len(e)} rows is not finite", unit)
    return Estimate(float(e.mean()), se=float(e.std(ddof=1) / len(e) ** 0.5) if len(e) > 1 else None, unit=unit)


def mean_log_density(e: Float[np.ndarray, " n"], T: float, log_z: Estimate, log_unit: float) -> Estimate:
    """Return the mean log-density of the rows, with the bounds and the verdict of log Z."""
    without_z = mean_over_rows(-e / T, "nats")
    if not isinstance(log_z.value, float) or not isinstance(without_z.value, float):
        return refused(f"no log Z: {log_z.reason}" if without_z.verdict == "ok" else without_z.reason, "nats")
    lower, upper = (
        None if bound is None else without_z.value - bound - log_unit for bound in (log_z.upper, log_z.lower)
    )
    value = without_z.value - log_z.value - log_unit
    shown = (f"log Z: {log_z.reason}",) if log_z.verdict == "caution" else ()
    return Estimate(value, without_z.se, lower, upper, "nats", log_z.verdict, shown)


def describe_unit(log_unit: float) -> str:
    """Return how the file's units change a log-density, in words."""
    if log_unit == 0:
        return "these are the model's units too"
    return f"the model's own units give {abs(log_unit):.6g} nats {'more' if log_unit > 0 else 'less'}"


def with_own_columns(rows: FileRows, columns: dict[str, np.ndarray], notes: list[str]) -> Any:
    """Return the file's own columns, then ours; cells of rows without a score are empty."""
    table = rows.table.copy()
    for name, scores in columns.items():
        full = np.full(len(rows.complete), np.nan)
        full[rows.complete] = scores
        own = name
        while own in table.columns:
            own = PREFIX + own
        if own != name:
            notes.append(f"score: the file has a column {name!r} of its own, so this one is called {own!r}")
        table.insert(len(table.columns), own, full)
    return table


def picture(result: Result) -> Picture:
    """Draw energies of the scored rows and of the held-out rows on one axis."""
    from ebm_cli import figure

    e, held_out, rare = result.arrays
    both = np.concatenate([each[np.isfinite(each)] for each in (e, held_out)])
    drawn, (axes,) = figure.new()
    # Rows that are thousands of nats away would press all others into one bin.
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for each, label, color in ((held_out, "held-out rows", figure.BLUE), (e, "scored rows", figure.ORANGE)):
        axes.hist(np.clip(each, edges[0], edges[-1]), edges, density=True, alpha=0.55, color=color, label=label)
    axes.set(xlabel="energy E(x); outer bins contain all values beyond", ylabel="density of rows")
    axes.legend()
    return drawn, (
        f"Energies of the {len(e)} scored rows and of {len(held_out)} held-out rows. {rare:.1%} of the scored rows "
        f"have p_value ≤ {RARE:g}. Look for scored rows on the right: they are less likely than held-out rows."
    )
