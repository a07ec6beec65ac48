"""One sentence of judgment on a run: whether its chains mixed, and what its numbers mean."""

from collections.abc import Iterable
from typing import Any

from ebm_cli.estimate import show

Rows = dict[str, dict[str, Any]]

# The first row of a subject that has a value represents it.
SUBJECTS = (
    ("model", ("tv", "nll", "kl", "fisher_divergence", "fisher_divergence_difference", "ksd_p_value")),
    ("rows", ("rare_fraction",)),
    ("samples", ("c2st", "frechet_ratio", "mmd", "coverage", "precision", "mean_error")),
)
# Rows under caution that the sentence always mentions.
ALARMS = ("modes_missing", "spurious_valleys", "memorization", "effective_temperature")


def judgment(runs: Iterable[tuple[str, Rows]]) -> str:
    """Return one sentence on the rows of metrics.json of related runs (oldest first); empty without rows.

    Only the latest run of each verb counts. Every part is the verdict or the meaning of a row. The order is training,
    model, rows, samples, log Z, chains.
    """
    latest: dict[str, Rows] = {}
    for verb, rows in runs:
        latest.pop(verb, None)
        latest[verb] = rows
    parts = [training_clause(rows) for verb, rows in latest.items() if verb == "train"]
    # Rows that diagnose copies from sample appear once.
    merged: Rows = {name: row for verb, rows in latest.items() if verb != "train" for name, row in rows.items()}
    # The chains of evaluate are judged for its own numbers. Those of sample and diagnose are longer.
    by_length = sorted(set(latest) - {"train"}, key=lambda verb: (verb != "evaluate", list(latest).index(verb)))
    chains: Rows = {name: row for verb in by_length for name, row in latest[verb].items()}
    # The clause on the chains gives these causes.
    given = reasons_of(chains.get("mixing", {}))
    parts += [subject_clause(subject, names, merged, given) for subject, names in SUBJECTS]
    parts += [log_z_clause(merged, given), chains_clause(chains)]
    parts += alarm_clauses(rows for verb, rows in latest.items() if verb != "train")
    found = [part for part in parts if part]
    if not found and merged:
        found = [count_verdicts(merged)]
    sentence = "; ".join(found)
    return sentence[:1].upper() + sentence[1:] + "." if sentence else ""


def training_clause(rows: Rows) -> str:
    """Return the verdict of training."""
    loss = rows.get("loss")
    if loss is None:
        return ""
    if loss["verdict"] == "ok":
        return "training: no warnings"
    return f"training: {loss['verdict']}, {first_reason(loss)}"


def subject_clause(subject: str, names: tuple[str, ...], rows: Rows, given: list[str]) -> str:
    """Return the meaning of the first number of a subject, or the reason if the number is refused."""
    present = [rows[name] for name in names if name in rows]
    for row in present:
        if row["value"] is not None and row.get("meaning"):
            return f"{row['meaning']}{caution_note(row, first_reason(row), given)}"
    refused = [row for row in present if row["value"] is None]
    return with_cause(f"{subject}: not compared", ", ", first_reason(refused[0]), given) if refused else ""


def log_z_clause(rows: Rows, given: list[str]) -> str:
    """Return log Z with its verdict and the cause."""
    row = rows.get("log_z")
    if row is None:
        return ""
    if row["value"] is None:
        return with_cause("log Z: refused", ", ", first_reason(row), given)
    # The reason starts with the method; the cause of the caution is last.
    return f"log Z = {show(row['value'], row.get('se'))}{caution_note(row, reasons_of(row)[-1], given)}"


def caution_note(row: dict[str, Any], cause: str, given: list[str]) -> str:
    """Return that a row is a caution, with its cause, in brackets; empty for another verdict."""
    return f" ({with_cause('caution', ': ', cause, given)})" if row["verdict"] == "caution" else ""


def with_cause(verdict: str, mark: str, cause: str, given: list[str]) -> str:
    """Return a verdict with its cause after a mark, unless the cause is given elsewhere."""
    return verdict if cause in given else f"{verdict}{mark}{cause}"


def chains_clause(rows: Rows) -> str:
    """Return whether the chains mixed."""
    row = rows.get("mixing")
    if row is None:
        return ""
    if row["verdict"] == "ok":
        return "chains: mixed"
    reasons = reasons_of(row)
    if row["verdict"] == "caution":
        word, start = "perhaps not mixed", "inconclusive: "
    else:
        word, start = "not mixed", "not mixed: "
    own = [reason.removeprefix(start) for reason in reasons if reason.startswith(start)]
    # A verdict without evidence is refused for another reason.
    if not own and row["verdict"] == "refused":
        word = "not judged"
    return f"chains: {word}, {(own or reasons)[0]}"


def alarm_clauses(runs: Iterable[Rows]) -> list[str]:
    """Return the meaning of each alarm in the latest run that has its row."""
    found: dict[str, str] = {}
    for rows in runs:
        for name in (name for name in ALARMS if name in rows):
            found[name] = str(rows[name]["meaning"]) if has_own_caution(rows[name], rows.get("mixing")) else ""
    return [found[name] for name in ALARMS if found.get(name)]


def has_own_caution(row: dict[str, Any] | None, mixing: dict[str, Any] | None) -> bool:
    """Return True if a row has a value, a meaning and a reason for caution that does not come from mixing."""
    if row is None or row["verdict"] != "caution" or not row["value"] or not row.get("meaning"):
        return False
    return not set(reasons_of(row)).issubset(reasons_of(mixing or {}))


def own_reasons(name: str, rows: Rows) -> str:
    """Return the reasons of a row, with the words "see mixing" instead of reasons that it inherits from mixing."""
    reasons = reasons_of(rows[name])
    inherited = [] if name == "mixing" else reasons_of(rows.get("mixing", {}))
    own = [reason for reason in reasons if reason not in inherited]
    return "; ".join(filter(None, [*own, "see mixing" if len(own) < len(reasons) and any(reasons) else ""]))


def count_verdicts(rows: Rows) -> str:
    """Return the number of rows with each verdict, for runs without any other clause."""
    verdicts = [row["verdict"] for row in rows.values()]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in ("ok", "caution", "refused") if verdict in verdicts]
    return f"verdicts: {', '.join(counts)}"


def first_reason(row: dict[str, Any]) -> str:
    """Return the first reason of a row."""
    return reasons_of(row)[0]


def reasons_of(row: dict[str, Any]) -> list[str]:
    """Return the reasons of a row; a row without reasons has one empty reason."""
    return str(row.get("reason", "")).split("; ")
