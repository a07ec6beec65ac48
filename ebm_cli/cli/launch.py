"""From a command line to a finished run: find the run it names, compose, make the folder, run the verb, report."""

import sys
from pathlib import Path

from ebm_cli.check import InputError
from ebm_cli.cli.failures import report_input_error
from ebm_cli.cli.job import Job
from ebm_cli.cli.precheck import check_job
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.run_job import perform
from ebm_cli.cli.typed import value_of
from ebm_cli.cli.words import parse
from ebm_cli.estimate import Estimate
from ebm_cli.run.folder import Run


def launch(verb: str, arguments: list[str]) -> int:
    """Run one verb; returns the exit code and prints errors as lines on stderr."""
    many = any(word in ("-m", "--multirun") for word in arguments)
    words = [word for word in arguments if word not in ("-m", "--multirun")]
    try:
        overrides = parse(words)
        resumed = value_of(overrides, "resume")
        if many or (resumed and (Path(resumed) / "sweep.yaml").exists()):
            from ebm_cli.cli.sweep import sweep

            return sweep(verb, overrides, Path(resumed) if resumed else None)
        job = prepare(verb, overrides)
        check_job(job)
        return finish(perform(job))
    except InputError as error:
        return report_input_error(error)


def shown_folder(folder: Path) -> Path:
    """The folder as the last line names it: for a reader at a terminal from where it is, so that it fits a line."""
    here = Path.cwd()
    return folder.relative_to(here) if sys.stdout.isatty() and folder.is_relative_to(here) else folder


def finish(result: tuple[Job, Run, int, dict[str, Estimate]]) -> int:
    """Print the numbers and, last, the folder."""
    job, run, code, estimates = result
    if estimates:
        from ebm_cli.cli.console import print_estimates, print_judgment

        print_estimates(estimates)
        print_judgment(job.verb, estimates)
    if code != 2 and run.folder.exists():
        sys.stdout.write(f"{shown_folder(run.folder)}\n")
    return code
