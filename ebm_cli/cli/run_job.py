"""Run one job, from its configuration to a finished run."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import permitted
from ebm_cli.check import InputError
from ebm_cli.cli import compose
from ebm_cli.cli.failures import leave_reason, quiet_threads, report_failure, report_input_error
from ebm_cli.cli.job import Job, job_name
from ebm_cli.cli.lock import RunInUse, run_lock, unfinished_mark
from ebm_cli.cli.stored_choices import resolve_auto_values
from ebm_cli.estimate import Estimate
from ebm_cli.run import shipped
from ebm_cli.run.folder import Run
from ebm_cli.run.new_folder import new_folder
from ebm_cli.run.terminal import Stopped


def perform(job: Job, terminal: Any = None) -> tuple[Job, Run, int, dict[str, Estimate]]:
    """Run one job in its folder. Return the job, its run, the exit code and the numbers.

    terminal: the terminal to use; None for a new ConsoleTerminal.
    """
    from ebm_cli.cli.console import ConsoleTerminal

    terminal = terminal or ConsoleTerminal()
    compose.append_current_folder()
    fresh = job.folder is None or not (job.folder / "config.yaml").exists()
    folder = job.folder or new_folder(job.verb, job_name(job), job.config.get("out"))
    run = Run(folder)
    estimates: dict[str, Estimate] = {}
    if isinstance(job.source, Run) and not job.source.is_finished():
        terminal.say(f"note: run={job.source.folder} has not finished: it was stopped or is still running")
    try:
        with run_lock(run), permitted(job.permission), unfinished_mark(run), quiet_threads():
            config = resolve_auto_values(job, run)
            estimates = run_verb(job, config, run, terminal)
            write_results(run, estimates)
        code = 1 if is_refused(job, estimates) else 0
    except RunInUse as error:
        code = report_input_error(error)
    except InputError as error:
        if job.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif fresh:
            # The table of the sweep gives this reason.
            leave_reason(run, "; ".join(error.messages))
        code = report_input_error(without_dependent_keys(job, error))
    except Stopped as stop:
        terminal.say(str(stop))
        code = 128 + (terminal.signal or signal.SIGINT)
    except Exception as error:
        code = report_failure(run, error)
    return job, run, code, estimates


def write_results(run: Run, estimates: dict[str, Estimate]) -> None:
    """Write the numbers of a run, its report and its summary in TensorBoard."""
    from ebm_cli.logger.run_record import close_record
    from ebm_cli.report.page import write_report

    run.write_metrics(estimates)
    write_report(run)
    close_record(run)


def is_refused(job: Job, estimates: dict[str, Estimate]) -> bool:
    """Return True if training ended in a model that cannot be used."""
    return job.verb == "train" and "loss" in estimates and estimates["loss"].verdict == "refused"


def without_dependent_keys(job: Job, error: InputError) -> InputError:
    """Return the error without messages on untyped keys whose value comes from another wrong key."""
    named = {message.split(" ")[0] for message in error.messages}

    def is_dependent(key: str) -> bool:
        group, _, last = key.partition(".")
        node = job.config.get(group)
        if not isinstance(node, dict) or key in job.typed_keys:
            return False
        source = re.fullmatch(r"\$\{([\w.]+)\}", str(shipped.defaults(str(node.get("_target_"))).get(last)))
        return source is not None and source[1] in named

    kept = [message for message in error.messages if not is_dependent(message.split(" ")[0])]
    return InputError(*(kept or error.messages))


def run_verb(job: Job, config: dict[str, Any], run: Run, terminal: Any) -> dict[str, Estimate]:
    """Run the verb and return its numbers."""
    trained = job.source if isinstance(job.source, Run) else None
    if job.verb == "train":
        from ebm_cli.verb.train import train

        return train(config, run, terminal, Run(Path(config["init"])) if config.get("init") else None)
    if job.verb == "sample":
        from ebm_cli.verb.sample import sample

        return sample(config, run, terminal, trained)
    if job.verb == "evaluate":
        from ebm_cli.verb.evaluate import evaluate

        return evaluate(config, run, terminal, trained)
    from ebm_cli.verb.diagnose import diagnose

    assert job.source is not None
    return diagnose(config, run, terminal, job.source)
