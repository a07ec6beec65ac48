"""`-m`: one job a combination of values, each in its own folder, ending in a table and a picture."""

import csv
import io
import itertools
import sys
from pathlib import Path
from typing import Any

import yaml

from ebm_cli.check import InputError
from ebm_cli.cli import compose
from ebm_cli.cli.launch import prepare
from ebm_cli.cli.perform import Job, perform
from ebm_cli.estimate import show
from ebm_cli.run import Run, new_folder, read_json, write_text

DONE = "metrics.json"
OWN_KEYS = ("out", "name")
# Numbers that sweep.csv alone holds, so that the printed table fits a terminal.
UNPRINTED = {"mean", "scales", "temperatures", "mala_acceptance", "energy_error", "effective_temperature"}


def sweep(verb: str, overrides: list[Any], resumed: Path | None) -> int:
    """Run every combination of the values that `overrides` list, or what is left of an earlier sweep's.

    All jobs are composed, and so checked, before the first runs. A job that fails is a line at once and a row
    with its reason; others go on. Exit code 0 when all are done, 1 when any failed, 130 or 143 after a signal.
    """
    folder, lines, keys = reopen(verb, overrides, resumed) if resumed else plan(verb, overrides)
    made = folder is not None
    jobs: list[Job] = []
    wrong: list[str] = []
    for line in lines:
        try:
            jobs.append(prepare(verb, compose.parse(line)))
        except InputError as error:
            wrong += error.messages
    if wrong:
        raise InputError(*dict.fromkeys(wrong))
    if not made:
        folder = begin(verb, overrides, lines, keys)
    assert folder is not None
    codes = run_all(folder, jobs, lines, keys)
    rows = table(folder, lines, keys)
    caption = draw(folder, verb, keys, len(lines))
    from ebm_cli.sweep_report import write_sweep_report

    write_sweep_report(folder, verb, keys, rows, caption)
    from ebm_cli.cli.live import print_rows

    print_rows(*shown(rows, keys))
    sys.stdout.write(f"{folder}\n")
    signals = [code for code in codes if code > 2]
    return signals[0] if signals else int(any(codes))


def plan(verb: str, overrides: list[Any]) -> tuple[None, list[list[str]], list[str]]:
    """The command lines of a new sweep, and the keys that vary."""
    if any(o.key_or_group == "out" and o.is_sweep_override() for o in overrides):
        raise InputError("out cannot be swept: it is the sweep's own folder")
    inner = [o for o in overrides if o.key_or_group not in OWN_KEYS]
    lines = [[compose.text(o) for o in job] for job in compose.sweep_jobs(inner)]
    if verb != "diagnose":
        lines = [pinned(line, verb) for line in lines]
    return None, lines, compose.swept(inner)


def pinned(line: list[str], verb: str) -> list[str]:
    """The line with run=latest replaced by what that is now: a sweep's own members must not become it."""
    from ebm_cli.cli import runs

    done = []
    for word in line:
        key, _, value = word.partition("=")
        if key in ("run", "init") and value.startswith("latest"):
            word = f"{key}={runs.place(runs.find(value, verb, key))}"
        elif key == "energy.runs" and isinstance(names := compose.parse([word])[0].value(), list):
            word = f"{key}=[{','.join(runs.place(runs.find(str(name), verb, key)) for name in names)}]"
        done.append(word)
    return done


def begin(verb: str, overrides: list[Any], lines: list[list[str]], keys: list[str]) -> Path:
    """Make the sweep's folder and write its plan."""
    given = {o.key_or_group: str(o.value()) for o in overrides if o.key_or_group in OWN_KEYS}
    folder = new_folder(verb, given.get("name", "sweep"), given.get("out"))
    plan = {"verb": verb, "keys": keys, "jobs": lines, "cwd": str(Path.cwd())}
    write_text(folder / "sweep.yaml", yaml.safe_dump(plan, sort_keys=False, allow_unicode=True))
    return folder


def reopen(verb: str, overrides: list[Any], folder: Path) -> tuple[Path, list[list[str]], list[str]]:
    """The plan of an earlier sweep."""
    if [o for o in overrides if o.key_or_group != "resume"]:
        raise InputError(f"resume={folder} finishes a sweep as it was planned: it takes no other key")
    plan = yaml.safe_load((folder / "sweep.yaml").read_text())
    if plan["verb"] != verb:
        raise InputError(f"resume={folder} is a sweep of ebm {plan['verb']}, not of ebm {verb}")
    return folder.absolute(), plan["jobs"], plan["keys"]


def run_all(folder: Path, jobs: list[Job], lines: list[list[str]], keys: list[str]) -> list[int]:
    """Run the jobs that are not done yet, one after the other; sweep.csv is up to date after each."""
    codes = []
    for number, job in enumerate(jobs):
        place = folder / str(number)
        if (place / DONE).exists():
            continue
        sys.stderr.write(f"job {number + 1} of {len(jobs)}: {label(lines[number], keys)}\n")
        code = one(job, place)
        codes.append(code)
        table(folder, lines, keys)
        if code > 2:
            break
        if code:
            sys.stderr.write(f"job {number + 1} of {len(jobs)} failed; the others go on\n")
    return codes


def one(job: Job, place: Path) -> int:
    """One job in its own numbered folder; a training run that was stopped goes on from its checkpoint."""
    if (place / "checkpoints" / "last").exists():
        job = Job("train", Run(place).config(), folder=place)
        return perform(job)[2]
    if place.exists():
        for other in itertools.count(1):
            if not (aside := place.with_name(f"{place.name}-failed-{other}")).exists():
                place.rename(aside)
                break
    place.mkdir()
    return perform(Job(job.verb, job.config, job.source, folder=place, words=job.words))[2]


def label(line: list[str], keys: list[str]) -> str:
    """The words of a job's line that vary."""
    return " ".join(word for word in line if word.partition("=")[0].lstrip("+") in keys)


def table(folder: Path, lines: list[list[str]], keys: list[str]) -> list[dict[str, str]]:
    """Write sweep.csv, a row a job: its overrides, its numbers with errors and verdicts, or why it failed."""
    rows = []
    for number, line in enumerate(lines):
        values = dict(word.lstrip("+").split("=", 1) for word in line)
        row = {"job": str(number)} | {key: values.get(key, "") for key in keys}
        place = folder / str(number)
        for name, metric in read_json(place / DONE).items():
            row[name] = show(metric.get("value"), metric.get("se"))
            row[f"{name}_value"] = "" if metric["value"] is None else str(metric["value"])
            row[f"{name}_se"] = str(metric.get("se", ""))
            row[f"{name}_verdict"] = metric["verdict"]
        failure = place / "failure.txt"
        row["status"] = "done" if (place / DONE).exists() else "failed" if failure.exists() else "waiting"
        row["reason"] = failure.read_text().strip().splitlines()[-1] if row["status"] == "failed" else ""
        rows.append(row)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, [c for c in columns if not _is_shown(c, columns)], extrasaction="ignore", restval=""
    )
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "sweep.csv", buffer.getvalue())
    return rows


def _is_shown(column: str, columns: list[str]) -> bool:
    """Whether a column is the printed form of one that is there in numbers."""
    return f"{column}_value" in columns


def shown(rows: list[dict[str, str]], keys: list[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table that is printed: what varies, the numbers, a mark for their verdicts."""
    names = list(dict.fromkeys(k.removesuffix("_verdict") for row in rows for k in row if k.endswith("_verdict")))
    names = [name for name in names if name not in UNPRINTED]
    failed = any(row["status"] != "done" for row in rows)
    marks = {"ok": "", "caution": " ?", "refused": ""}
    table = []
    for row in rows:
        cells = [row.get(name, "") + marks.get(row.get(f"{name}_verdict", ""), "") for name in names]
        cells = ["refused" if row.get(f"{n}_verdict") == "refused" else c for n, c in zip(names, cells, strict=True)]
        table.append([*(row[key] for key in keys), *cells, *([row["reason"] or row["status"]] if failed else [])])
    return [*keys, *names, *(["status"] if failed else [])], table


def draw(folder: Path, verb: str, keys: list[str], count: int) -> str:
    """sweep.png: the main numbers against the key that varies. Returns the sentence that belongs under it."""
    from ebm_cli.sweep_figure import sweep_figure

    metrics = [read_json(folder / str(number) / DONE) for number in range(count)]
    plan = yaml.safe_load((folder / "sweep.yaml").read_text())
    drawn = sweep_figure(verb, keys, plan["jobs"], metrics, [folder / str(n) for n in range(count)])
    if drawn is None:
        return ""
    picture, caption = drawn
    picture.savefig(folder / "sweep.png", dpi=150)
    return caption
