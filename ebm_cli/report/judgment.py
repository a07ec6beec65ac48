"""One sentence of judgment on a run: whether its chains mixed, and what its numbers mean."""

from collections.abc import Iterable
from typing import Any

from ebm_cli.estimate import show

Rows = dict[str, dict[str, Any]]

# Of each subject the first row that has a value speaks for it.
SUBJECTS = (
    ("model", ("tv", "nll", "kl")),
    ("rows", ("rare_fraction",)),
    ("samples", ("c2st", "frechet_ratio", "mmd", "coverage", "mean_error")),
)
# Bad news that belongs in the sentence, whatever else is in it.
ALARMS = ("modes_missing", "spurious_valleys", "memorization", "effective_temperature")


def judgment(runs: Iterable[tuple[str, Rows]]) -> str:
    """Return one sentence on the rows of metrics.json of runs that belong together, oldest first; empty for none.

    A later run of a verb replaces an earlier one. Every part is a row's verdict or its meaning, in the order training,
    model, rows, samples, chains.
    """
    latest: dict[str, Rows] = {}
    for verb, rows in runs:
        latest.pop(verb, None)
        latest[verb] = rows
    parts = [training(rows) for verb, rows in latest.items() if verb == "train"]
    # What diagnose took over from sample is said once.
    merged: Rows = {name: row for verb, rows in latest.items() if verb != "train" for name, row in rows.items()}
    parts += [of_subject(subject, names, merged) for subject, names in SUBJECTS]
    parts += [log_z(merged), chains(merged)]
    parts += [str(merged[name]["meaning"]) for name in ALARMS if alarming(merged.get(name), merged.get("mixing"))]
    found = [part for part in parts if part]
    if not found and merged:
        found = [tally(merged)]
    sentence = "; ".join(found)
    return sentence[:1].upper() + sentence[1:] + "." if sentence else ""


def training(rows: Rows) -> str:
    """What training came to."""
    loss = rows.get("loss")
    if loss is None:
        return ""
    if loss["verdict"] == "ok":
        return "training: nothing speaks against it"
    return f"training: {'refused' if loss['verdict'] == 'refused' else 'to be doubted'}, {first(loss)}"


def of_subject(subject: str, names: tuple[str, ...], rows: Rows) -> str:
    """The meaning of the subject's first number, or why it has none."""
    there = [rows[name] for name in names if name in rows]
    for row in there:
        if row["value"] is not None and row.get("meaning"):
            return f"{row['meaning']}{doubt(row)}"
    gone = [row for row in there if row["value"] is None]
    return f"{subject}: not compared, {first(gone[0])}" if gone else ""


def log_z(rows: Rows) -> str:
    """log Z with its verdict."""
    row = rows.get("log_z")
    if row is None:
        return ""
    if row["value"] is None:
        return f"log Z: refused, {first(row)}"
    # Its reason begins with how it was found; what is to be doubted comes last.
    last = f" (to be doubted: {str(row['reason']).split('; ')[-1]})" if row["verdict"] == "caution" else ""
    return f"log Z = {show(row['value'], row.get('se'))}{last}"


def chains(rows: Rows) -> str:
    """Whether the chains mixed."""
    row = rows.get("mixing")
    if row is None:
        return ""
    if row["verdict"] == "ok":
        return "chains: mixed"
    reasons = str(row["reason"]).split("; ")
    if row["verdict"] == "caution":
        word, start = "perhaps not mixed", "inconclusive: "
    else:
        word, start = "not mixed", "not mixed: "
    own = [reason.removeprefix(start) for reason in reasons if reason.startswith(start)]
    # Refused without evidence: there was nothing to judge.
    if not own and row["verdict"] == "refused":
        word = "not judged"
    return f"chains: {word}, {(own or reasons)[0]}"


def alarming(row: dict[str, Any] | None, mixing: dict[str, Any] | None) -> bool:
    """Whether a row has bad news of its own to tell, beside what it took over from mixing."""
    if row is None or row["verdict"] != "caution" or not row["value"] or not row.get("meaning"):
        return False
    taken = str((mixing or {}).get("reason", "")).split("; ")
    return any(reason not in taken for reason in str(row["reason"]).split("; "))


def news(name: str, rows: Rows) -> str:
    """Why a row is doubted or refused, in a table of all rows: what it took over from mixing stands in that row."""
    reasons = str(rows[name].get("reason", "")).split("; ")
    known = set() if name == "mixing" else set(str(rows.get("mixing", {}).get("reason", "")).split("; "))
    own = [reason for reason in reasons if reason not in known]
    return "; ".join(filter(None, [*own, "see mixing" if len(own) < len(reasons) and any(reasons) else ""]))


def tally(rows: Rows) -> str:
    """How many numbers of a run are ok, for a run of which no sentence says more."""
    verdicts = [row["verdict"] for row in rows.values()]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in ("ok", "caution", "refused") if verdict in verdicts]
    return f"verdicts: {', '.join(counts)}"


def doubt(row: dict[str, Any]) -> str:
    """The first reason to doubt a value, in brackets."""
    return f" (to be doubted: {first(row)})" if row["verdict"] == "caution" else ""


def first(row: dict[str, Any]) -> str:
    """The first of a row's reasons."""
    return str(row.get("reason", "")).split("; ")[0]
