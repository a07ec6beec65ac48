"""`-m`: run one job per combination of values, each in its own folder, and show all in a table and a picture."""

import itertools
import sys
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebm_cli.assembly.permission import admit, permitted
from ebm_cli.check import InputError, Problems
from ebm_cli.cli.failures import report_input_error
from ebm_cli.cli.job import Job
from ebm_cli.cli.lock import run_lock
from ebm_cli.cli.precheck import check_job
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.run_job import perform
from ebm_cli.cli.sweep_plan import Plan, create_sweep, job_label, line_values, new_plan, reopen
from ebm_cli.cli.sweep_progress import JobTerminal
from ebm_cli.cli.words import parse
from ebm_cli.run.folder import Run
from ebm_cli.run.writing import write_text

if TYPE_CHECKING:
    from ebm_cli.report.sweep_members import Sweep


def sweep(verb: str, overrides: list[Any], resumed: Path | None) -> int:
    """Run every combination of the values that `overrides` list, or the remaining jobs of an earlier sweep.

    All jobs are composed and checked before any of them runs. If a job fails, a line reports it immediately, its row
    gives the reason, and the other jobs continue. Return the exit code: 0 if all jobs are done, 1 if any failed, 130 or
    143 after a signal.

    resumed: the folder of the earlier sweep.
    """
    plan = reopen(verb, overrides, resumed) if resumed else new_plan(verb, overrides)
    with chdir(plan.cwd):
        jobs = compose_jobs(plan)
        folder = plan.folder or create_sweep(plan, overrides)
        try:
            with run_lock(Run(folder), f"resume={folder}"):
                codes = run_all(folder, jobs, plan)
                finish(folder, plan)
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename or folder}"
            sys.stderr.write(f"failed: {reason}; ebm {verb} resume={folder} continues the sweep\n")
            return 1
    sys.stdout.write(f"{folder}\n")
    signals = [code for code in codes if code > 2]
    return signals[0] if signals else int(any(codes))


def compose_jobs(plan: Plan) -> list[Job]:
    """Return the jobs of all lines. Raises InputError with everything that is wrong with jobs that have not started."""
    jobs: list[Job] = []
    problems, built = Problems(), set[str]()
    for number, line in enumerate(plan.jobs):
        with problems.under():
            jobs.append(prepare(plan.verb, parse(line), plan.permission, f"resume={plan.folder}"))
            if plan.folder is None or not (plan.folder / str(number)).exists():
                check_job(jobs[-1], built)
    problems.finish()
    return jobs


def finish(folder: Path, plan: Plan) -> None:
    """Write sweep.csv, sweep.png and report.html, and print the table."""
    from ebm_cli.cli.console import print_rows
    from ebm_cli.report.sweep_page import write_sweep_report
    from ebm_cli.report.sweep_table import notes, terminal_table

    found = write_table(folder, plan)
    write_sweep_report(folder, found, draw_figure(folder, found))
    print_rows(*terminal_table(found), notes(found))


def run_all(folder: Path, jobs: list[Job], plan: Plan) -> list[int]:
    """Run the unfinished jobs in order, write sweep.csv after each of them, and return their exit codes."""
    from ebm_cli.cli.console import ConsoleTerminal

    terminal, codes = ConsoleTerminal(), []
    remaining = [number for number in range(len(jobs)) if not Run(folder / str(number)).is_finished()]
    with terminal.task("sweep", len(jobs), begin=len(jobs) - len(remaining)) as tick:
        for done, number in enumerate(remaining, len(jobs) - len(remaining)):
            terminal.say(f"job {number} of {len(jobs)}: {job_label(plan.jobs[number], plan.keys)}")
            try:
                code = run_one(jobs[number], folder / str(number), JobTerminal(terminal, tick, done))
            except InputError as error:
                code = report_input_error(error)
            tick(done + 1)
            codes.append(code)
            write_table(folder, plan)
            if code > 2:
                break
            if code:
                terminal.say(f"job {number} of {len(jobs)} failed; the others continue")
    return codes


def run_one(job: Job, place: Path, terminal: JobTerminal) -> int:
    """Run one job in its own numbered folder and return its exit code. A stopped training run continues."""
    if place.exists():
        # The lock fails if another process works in the folder.
        with run_lock(Run(place)):
            if (place / "checkpoints" / "last").exists():
                with permitted(job.permission):
                    config = Run(place).whole_config()
                    permission = admit(Run(place), config)
                job = Job("train", config, folder=place, permission=permission)
            else:
                place.rename(unused_path(place))
    if not place.exists():
        place.mkdir()
        job = replace(job, folder=place)
    return perform(job, terminal)[2]


def unused_path(place: Path) -> Path:
    """Return an unused path next to `place` for the files of a failed job."""
    numbers = itertools.count(1)
    return next(aside for n in numbers if not (aside := place.with_name(f"{place.name}-failed-{n}")).exists())


def write_table(folder: Path, plan: Plan) -> "Sweep":
    """Read the jobs that have run so far, write sweep.csv, and return the jobs."""
    from ebm_cli.report.sweep_members import read_sweep
    from ebm_cli.report.sweep_table import as_csv

    found = read_sweep(plan.verb, plan.keys, folder, [line_values(line) for line in plan.jobs])
    write_text(folder / "sweep.csv", as_csv(found))
    return found


def draw_figure(folder: Path, found: "Sweep") -> str:
    """Draw sweep.png and return its caption, empty if there is nothing to draw."""
    from ebm_cli.report.sweep_figure import sweep_figure

    drawn = sweep_figure(found)
    if drawn is None:
        return ""
    picture, caption = drawn
    picture.savefig(folder / "sweep.png", dpi=150)
    return caption
