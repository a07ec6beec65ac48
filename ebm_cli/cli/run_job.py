"""One job from its configuration to a finished run."""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import permitted
from ebm_cli.check import InputError
from ebm_cli.cli import compose
from ebm_cli.cli.failures import leave_reason, quiet_threads, report_failure, report_input_error
from ebm_cli.cli.job import Job, job_name
from ebm_cli.cli.lock import InUse, locked, unfinished
from ebm_cli.cli.settle import settle
from ebm_cli.estimate import Estimate
from ebm_cli.run import shipped
from ebm_cli.run.folder import Run
from ebm_cli.run.new_folder import new_folder
from ebm_cli.run.terminal import Stopped


def perform(job: Job, terminal: Any = None) -> tuple[Job, Run, int, dict[str, Estimate]]:
    """Do the work of one job in its folder; returns the exit code and the numbers. terminal: one of its own if None."""
    from ebm_cli.cli.console import Live

    terminal = terminal or Live()
    compose.append_current_folder()
    fresh = job.folder is None or not (job.folder / "config.yaml").exists()
    folder = job.folder or new_folder(job.verb, job_name(job), job.config.get("out"))
    run = Run(folder)
    estimates: dict[str, Estimate] = {}
    if isinstance(job.source, Run) and not job.source.is_finished():
        terminal.say(f"note: run={job.source.folder} has not finished: it was stopped, or is still running")
    try:
        with locked(run), permitted(job.permission), unfinished(run), quiet_threads():
            config = settle(job, run)
            estimates = verb_of(job, config, run, terminal)()
            write_results(run, estimates)
        code = 1 if is_refused(job, estimates) else 0
    except InUse as error:
        code = report_input_error(error)
    except InputError as error:
        if job.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif fresh:
            # The row of a sweep gives the reason.
            leave_reason(run, "; ".join(error.messages))
        code = report_input_error(typed_only(job, error))
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
    """Whether training ended in a model of no use."""
    return job.verb == "train" and "loss" in estimates and estimates["loss"].verdict == "refused"


def typed_only(job: Job, error: InputError) -> InputError:
    """The error without keys that follow another key, by an interpolation in their YAML, which is wrong itself."""
    named = {message.split(" ")[0] for message in error.messages}
    typed = {word.lstrip("+~").partition("=")[0] for word in job.words}

    def follows(key: str) -> bool:
        group, _, last = key.partition(".")
        node = job.config.get(group)
        if not isinstance(node, dict) or key in typed:
            return False
        source = re.fullmatch(r"\$\{([\w.]+)\}", str(shipped.defaults(str(node.get("_target_"))).get(last)))
        return source is not None and source[1] in named

    kept = [message for message in error.messages if not follows(message.split(" ")[0])]
    return InputError(*(kept or error.messages))


def verb_of(job: Job, config: dict[str, Any], run: Run, terminal: Any) -> Callable[[], dict[str, Estimate]]:
    """The verb's work, ready to be called."""
    trained = job.source if isinstance(job.source, Run) else None
    if job.verb == "train":
        from ebm_cli.verb.train import train

        init = Run(Path(config["init"])) if config.get("init") else None
        return lambda: train(config, run, terminal, init)
    if job.verb == "sample":
        from ebm_cli.verb.sample import sample

        return lambda: sample(config, run, terminal, trained)
    if job.verb == "evaluate":
        from ebm_cli.verb.evaluate import evaluate

        return lambda: evaluate(config, run, terminal, trained)
    from ebm_cli.verb.diagnose import diagnose

    assert job.source is not None
    source = job.source
    return lambda: diagnose(config, run, terminal, source)
