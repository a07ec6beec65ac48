"""From a command line to a finished run: find the run it names, compose, make the folder, run the verb, report."""

import sys
from pathlib import Path

from ebm_cli.check import InputError
from ebm_cli.cli.failures import report_input_error
from ebm_cli.cli.job import Job
from ebm_cli.cli.line_values import value_of
from ebm_cli.cli.precheck import check_job
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.run_job import perform
from ebm_cli.cli.words import parse
from ebm_cli.estimate import Estimate
from ebm_cli.run.folder import Run

SWEEP_FLAGS = ("-m", "--multirun")


def launch(verb: str, arguments: list[str]) -> int:
    """Run one verb and return the exit code; errors are printed as lines on stderr."""
    words = [word for word in arguments if word not in SWEEP_FLAGS]
    try:
        overrides = parse(words)
        resumed = value_of(overrides, "resume")
        if words != arguments or (resumed and (Path(resumed) / "sweep.yaml").exists()):
            from ebm_cli.cli.sweep import sweep

            return sweep(verb, overrides, Path(resumed) if resumed else None)
        job = prepare(verb, overrides)
        check_job(job)
        return finish(*perform(job))
    except InputError as error:
        return report_input_error(error)


def finish(job: Job, run: Run, code: int, estimates: dict[str, Estimate]) -> int:
    """Print the numbers, then the folder in the last line; return the exit code."""
    if estimates:
        from ebm_cli.cli.console import print_estimates, print_judgment

        print_estimates(estimates)
        print_judgment(job.verb, estimates)
    if code != 2 and run.folder.exists():
        here, folder = Path.cwd(), run.folder
        # On a terminal a relative path fits one line.
        is_short = sys.stdout.isatty() and folder.is_relative_to(here)
        sys.stdout.write(f"{folder.relative_to(here) if is_short else folder}\n")
    return code
