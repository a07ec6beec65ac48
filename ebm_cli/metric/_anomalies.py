"""Anomalies among scored rows: a threshold with a stated rate of false alarms, and how well labeled ones are found."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ebm_cli.check import InputError, nearest_hint
from ebm_cli.data import FileRows
from ebm_cli.estimate import Estimate, refused
from ebm_cli.metric import binomial_se, bootstrap_se
from ebm_cli.metric._separation import bootstrap, separation

REPEATS = 200
SEED = 0
# Texts of a label for usual rows and for anomalies.
USUAL, ANOMALY = ("0", "0.0", "false"), ("1", "1.0", "true")


def threshold(held_out: Float[np.ndarray, " m"], false_alarm: float) -> float | None:
    """Return t, the k-th largest held-out energy, k = ⌊α(m + 1)⌋; None if k = 0.

    E(x) > t exactly if the conformal p-value of x is at most α. A row from the distribution of the held-out rows is
    therefore called an anomaly with a probability of at most α.
    """
    energies = np.where(np.isnan(held_out), np.inf, held_out)
    k = int(np.floor(false_alarm * (len(energies) + 1) + 1e-9))
    return float(np.sort(energies)[-k]) if k else None


def threshold_estimate(held_out: Float[np.ndarray, " m"], false_alarm: float) -> Estimate:
    """Return the threshold with its bootstrap error; refused for too few held-out rows."""
    t = threshold(held_out, false_alarm)
    if t is None:
        rows = int(np.ceil(1 / false_alarm)) - 1
        return refused(f"false_alarm={false_alarm:g} needs at least {rows} held-out rows, got {len(held_out)}")
    if not np.isfinite(t):
        return refused("the energy of more held-out rows than false_alarm allows is not finite")
    se = bootstrap_se(lambda e: threshold(e, false_alarm) or t, [held_out], SEED, REPEATS)
    meaning = f"rows with a higher energy are anomalies; {false_alarm:.3g} of usual rows have one"
    return Estimate(t, se=se, meaning=meaning)


def anomaly_labels(rows: FileRows, column: str | None) -> Bool[np.ndarray, " n"] | None:
    """Return True for each complete row that a column of the file calls an anomaly, by 1 or true; None without one.

    Raises InputError for a missing column, for other values than 0 and 1 or true and false, and for only one of them.
    """
    if column is None:
        return None
    names = [str(name) for name in rows.table.columns]
    if column not in names:
        hint = nearest_hint(column, names)
        raise InputError(f"anomaly_label must be a column of the scored file, {', '.join(names)}; got {column!r}{hint}")
    cells = rows.table.iloc[:, names.index(column)].to_numpy()[rows.complete]
    texts = np.array([str(cell).strip().lower() for cell in cells.tolist()])
    labels = np.isin(texts, ANOMALY)
    if wrong := sorted(set(texts[~labels & ~np.isin(texts, USUAL)].tolist())):
        raise InputError(f"anomaly_label must be 0 or 1, or true or false, in every row; {column!r} has {wrong[0]!r}")
    if labels.all() or not labels.any():
        raise InputError(f"anomaly_label needs rows with 0 and rows with 1; {column!r} has only {int(labels.all())}")
    return labels


def detection(
    e: Float[np.ndarray, " n"], is_anomaly: Bool[np.ndarray, " n"], called: Bool[np.ndarray, " n"]
) -> dict[str, Estimate]:
    """Return AUROC of E for anomalies against usual rows, and the fractions of both that are called anomalies."""
    usual, odd = -e[~is_anomaly], -e[is_anomaly]
    drawn = bootstrap(usual, odd, SEED, REPEATS)[:, 0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = separation(usual, odd).auroc
    meaning = f"an anomaly has a higher energy than a usual row in {100 * value:.0f} % of cases (50 % is chance)"
    row = Estimate(value, float(drawn.std(ddof=1)), float(low), float(high), meaning=meaning)
    if low <= 0.5:
        row = row.with_caution(["the energy has no advantage: its AUROC is not above 0.5, which is chance"])
    return {
        "auroc": row,
        "detection_rate": fraction(called[is_anomaly], "of the labeled anomalies are called so"),
        "false_alarm_rate": fraction(called[~is_anomaly], "of the rows labeled usual are called anomalies"),
    }


def fraction(called: Bool[np.ndarray, " n"], words: str) -> Estimate:
    """Return the fraction of rows that are called anomalies."""
    value = float(called.mean())
    return Estimate(value, se=binomial_se(float(called.sum()), len(called)), meaning=f"{100 * value:.0f} % {words}")


def as_cells(called: Bool[np.ndarray, " n"]) -> Any:
    """Return 0 or 1 per row, as cells that stay whole numbers next to empty ones."""
    return called.astype(int).astype(object)
