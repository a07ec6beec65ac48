"""A sweep as a table: sweep.csv with one value per cell, and a shorter table for the terminal."""

import csv
import io
from typing import Any

from ebm_cli.estimate import show
from ebm_cli.report.sweep_members import HIGHER_IS_BETTER, SEED, Member, Sweep

# Numbers that only sweep.csv contains, because the printed table must fit a terminal.
UNPRINTED = {
    *("mean", "scales", "temperatures", "mala_acceptance", "energy_error", "effective_temperature"),
    *("steps", "steps_per_second", "gradients_per_second"),
}
# Maximum length of a list in sweep.csv. Longer lists are left out.
MAX_LIST_COLUMNS = 16
MARKS = {"ok": "", "caution": " ?", "refused": ""}


def as_csv(sweep: Sweep) -> str:
    """Return sweep.csv: one row per job, with its varying keys, seed, rank, verdict, reason, numbers and errors."""
    rows = [csv_row(sweep, each) for each in sweep.members]
    columns = dict.fromkeys(key for row in rows for key in row)
    # A number that is a list in one job and refused in another gets no column of its own.
    lists = {"".join(key.rsplit("[0]", 1)) for key in columns if "[0]" in key}
    columns = [key for key in columns if key not in lists]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def csv_row(sweep: Sweep, member: Member) -> dict[str, Any]:
    """Return the row of one job; a short list of numbers has one column per number, such as mean[0]_value."""
    row: dict[str, Any] = {"job": member.number} | {key: member.values.get(key, "") for key in columns_of(sweep)}
    row |= {"rank": cell_text(member.rank), "score": cell_text(member.score), "score_name": sweep.by}
    if sweep.has_replicates:
        row |= {"score_mean": cell_text(member.mean_score), "score_se": cell_text(member.score_error)}
    row |= {"verdict": member.verdict, "status": member.status, "reason": member.reason}
    for name, metric in member.metrics.items():
        for field in ("value", "se"):
            row |= {f"{part}_{field}": cell_text(value) for part, value in named_parts(name, metric.get(field)).items()}
        row[f"{name}_verdict"] = metric["verdict"]
        if metric.get("meaning"):
            row[f"{name}_meaning"] = metric["meaning"]
    return row


def named_parts(name: str, value: Any) -> dict[str, Any]:
    """Return a number by its name, or the numbers of a short list by name and position; {} for a longer list."""
    if not isinstance(value, list):
        return {name: value}
    return {f"{name}[{i}]": each for i, each in enumerate(value)} if len(value) <= MAX_LIST_COLUMNS else {}


def cell_text(value: Any) -> str:
    """Return the text of a cell, empty for None."""
    return "" if value is None else str(value)


def columns_of(sweep: Sweep) -> list[str]:
    """Return the keys that have a column: all varying keys, and the seed."""
    return sweep.keys if SEED in sweep.keys else [*sweep.keys, SEED]


def terminal_table(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the printed table: varying keys, seed, rank, numbers with a mark for their verdicts."""
    keys = columns_of(sweep)
    heads = heads_of(keys)
    names = [name for name in dict.fromkeys(n for each in sweep.members for n in each.metrics) if name not in UNPRINTED]
    has_unfinished = any(each.status != "done" for each in sweep.members)
    rows: list[dict[str, str]] = []
    for each in sweep.members:
        row = {"job": str(each.number)}
        row |= {"rank": rank(each)} if sweep.by else {}
        row |= {"status": each.status} if has_unfinished else {}
        row |= {head: each.values.get(key, "") for key, head in zip(keys, heads, strict=True)}
        row |= {sweep.by: show(each.score)} if sweep.by and sweep.by not in names else {}
        # A varying key and a number may have the same name, such as energy.
        row |= {f"measured {n}" if n in heads else n: number_cell(each.metrics.get(n)) for n in names}
        rows.append(row)
    return list(rows[0]), [list(row.values()) for row in rows]


def heads_of(keys: list[str]) -> list[str]:
    """Return the keys without their groups, unless two would then be equal."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def rank(member: Member) -> str:
    """Return the rank of a job, with a mark for the best."""
    return "1 (best)" if member.rank == 1 else cell_text(member.rank)


def number_cell(metric: dict[str, Any] | None) -> str:
    """Return a number with its error and a mark for caution."""
    if metric is None:
        return ""
    if metric["verdict"] == "refused":
        return "refused"
    return show(metric["value"], metric.get("se")) + MARKS[metric["verdict"]]


def notes(sweep: Sweep) -> list[str]:
    """Return the notes below the printed table: the score of the ranking, and each first reason with its jobs."""
    has_caution = any(metric["verdict"] == "caution" for each in sweep.members for metric in each.metrics.values())
    lines = [
        ranking_note(sweep),
        "?: a number under caution; sweep.csv and report.html give the reason" if has_caution else "",
    ]
    jobs_of: dict[str, list[Member]] = {}
    for each in sweep.members:
        if each.reason:
            state = each.verdict if each.status == "done" else each.status
            reason = each.reason.split("; ")[0] if each.status == "done" else each.reason
            jobs_of.setdefault(f"{state}: {reason}", []).append(each)
    for reason, members in jobs_of.items():
        numbers = ", ".join(str(each.number) for each in members)
        lines.append(f"job{'s' if len(members) > 1 else ''} {numbers} {reason}")
    return [line for line in lines if line]


def ranking_note(sweep: Sweep) -> str:
    """Describe the score that ranks the jobs, and the best job."""
    if not sweep.by:
        return ""
    score = f"{sweep.by} of the best checkpoint" if sweep.verb == "train" else sweep.by
    order = f"rank: by {score}, {'highest' if sweep.by in HIGHER_IS_BETTER else 'lowest'} first"
    seeds = "; the mean over seeds counts" if sweep.has_replicates else ""
    best = next((each for each in sweep.members if each.rank == 1), None)
    if best is None:
        return f"{order}{seeds}; no job can be ranked yet"
    words = " ".join(f"{key}={best.values.get(key, '')}" for key in sweep.axes)
    return f"{order}{seeds}; best {words}, {show(best.mean_score, best.score_error)}"
