"""`-m`: one job a combination of values, each in its own folder, ending in a table and a picture."""

import itertools
import sys
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebm_cli.assembly.permission import admit, permitted
from ebm_cli.check import InputError
from ebm_cli.cli.failures import report_input_error
from ebm_cli.cli.job import Job
from ebm_cli.cli.lock import locked
from ebm_cli.cli.precheck import Precheck
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.run_job import perform
from ebm_cli.cli.sweep_plan import Plan, begin, label, planned, reopen, values_of
from ebm_cli.cli.sweep_progress import JobTerminal
from ebm_cli.cli.words import parse
from ebm_cli.run.folder import Run
from ebm_cli.run.writing import write_text

if TYPE_CHECKING:
    from ebm_cli.report.sweep_members import Sweep


def sweep(verb: str, overrides: list[Any], resumed: Path | None) -> int:
    """Run every combination of the values that `overrides` list, or what is left of an earlier sweep's.

    All jobs are composed, and their numbers checked, before the first runs. A job that fails is a line at once and a
    row with its reason; others go on. Exit code 0 when all are done, 1 when any failed, 130 or 143 after a signal.
    """
    plan = reopen(verb, overrides, resumed) if resumed else planned(verb, overrides)
    with chdir(plan.cwd):
        jobs = composed(plan)
        folder = plan.folder or begin(plan, overrides)
        try:
            with locked(Run(folder), f"resume={folder}"):
                codes = run_all(folder, jobs, plan)
                finish(folder, plan)
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename or folder}"
            sys.stderr.write(f"failed: {reason}; ebm {verb} resume={folder} goes on\n")
            return 1
    sys.stdout.write(f"{folder}\n")
    signals = [code for code in codes if code > 2]
    return signals[0] if signals else int(any(codes))


def composed(plan: Plan) -> list[Job]:
    """The jobs of all lines; InputError with everything that is wrong in any that has not begun."""
    jobs: list[Job] = []
    wrong: list[str] = []
    place = f"resume={plan.folder}"
    precheck = Precheck()
    for number, line in enumerate(plan.jobs):
        try:
            jobs.append(prepare(plan.verb, parse(line), plan.permission, place))
            if plan.folder is None or not (plan.folder / str(number)).exists():
                precheck.whole(jobs[-1])
        except InputError as error:
            wrong += error.messages
    if wrong:
        raise InputError(*dict.fromkeys(wrong))
    return jobs


def finish(folder: Path, plan: Plan) -> None:
    """Write sweep.csv, sweep.png and report.html, and print the table."""
    from ebm_cli.cli.console import print_rows
    from ebm_cli.report.sweep_page import write_sweep_report
    from ebm_cli.report.sweep_table import notes, terminal_table

    found = table(folder, plan)
    write_sweep_report(folder, found, draw(folder, found))
    print_rows(*terminal_table(found), notes(found))


def run_all(folder: Path, jobs: list[Job], plan: Plan) -> list[int]:
    """Run the jobs that are not done yet, one after the other; sweep.csv is up to date after each."""
    from ebm_cli.cli.console import Live

    terminal, codes = Live(), []
    left = [number for number in range(len(jobs)) if not Run(folder / str(number)).is_finished()]
    with terminal.task("sweep", len(jobs), begin=len(jobs) - len(left)) as tick:
        for done, number in enumerate(left, len(jobs) - len(left)):
            terminal.say(f"job {number} of {len(jobs)}: {label(plan.jobs[number], plan.keys)}")
            try:
                code = run_one(jobs[number], folder / str(number), JobTerminal(terminal, tick, done))
            except InputError as error:
                code = report_input_error(error)
            tick(done + 1)
            codes.append(code)
            table(folder, plan)
            if code > 2:
                break
            if code:
                terminal.say(f"job {number} of {len(jobs)} failed; the others go on")
    return codes


def run_one(job: Job, place: Path, terminal: JobTerminal) -> int:
    """One job in its own numbered folder; a training run that was stopped goes on from its checkpoint."""
    if place.exists():
        # A folder that another ebm works in is neither renamed nor used.
        with locked(Run(place)):
            if (place / "checkpoints" / "last").exists():
                with permitted(job.permission):
                    config = Run(place).whole_config()
                    permission = admit(Run(place), config)
                job = Job("train", config, folder=place, permission=permission)
            else:
                place.rename(_free(place))
    if not place.exists():
        place.mkdir()
        job = replace(job, folder=place)
    return perform(job, terminal)[2]


def _free(place: Path) -> Path:
    """A name next to `place` for what an earlier try left."""
    numbers = itertools.count(1)
    return next(aside for n in numbers if not (aside := place.with_name(f"{place.name}-failed-{n}")).exists())


def table(folder: Path, plan: Plan) -> "Sweep":
    """Write sweep.csv as far as jobs have come; returns what it was made of."""
    from ebm_cli.report.sweep_members import read_sweep
    from ebm_cli.report.sweep_table import as_csv

    found = read_sweep(plan.verb, plan.keys, folder, [values_of(line) for line in plan.jobs])
    write_text(folder / "sweep.csv", as_csv(found))
    return found


def draw(folder: Path, found: "Sweep") -> str:
    """sweep.png. Returns the sentence that belongs under it, empty if there is nothing to draw."""
    from ebm_cli.report.sweep_figure import sweep_figure

    drawn = sweep_figure(found)
    if drawn is None:
        return ""
    picture, caption = drawn
    picture.savefig(folder / "sweep.png", dpi=150)
    return caption
