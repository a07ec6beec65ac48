"""What can be found wrong with a job before it runs: its numbers, and whether its parts can be built."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ebm_cli.assembly.permission import permitted
from ebm_cli.check import InputError, Problems, count, non_negative, one_of
from ebm_cli.cli import compose
from ebm_cli.cli.job import Job
from ebm_cli.cli.run_job import typed_only
from ebm_cli.cli.words import WrongWords
from ebm_cli.run.folder import FIGURES, Run

# A line whose data or recipe is misspelt has another recipe, whose keys are others.
OF_RECIPE = ("data", "experiment")
# Keys that no part but the sampler depends on.
APART = ("seed", "name", "out", "sampler", "trainer", "chains", "steps", "burn_in", "thin", "budget", "threads", "made")


class Precheck:
    """Checks jobs one after the other; parts that are built alike are built once."""

    def __init__(self) -> None:
        self.built: set[str] = set()

    def whole(self, job: Job) -> None:
        """Raise InputError for all that is wrong with numbers and parts of a job."""
        wrong = messages_of(lambda: check_numbers(job))
        signature = json.dumps(likeness(job), sort_keys=True, default=str)
        if wrong or signature not in self.built:
            self.built.add(signature)
            wrong += messages_of(lambda: check_parts(job))
        raise_all(job, wrong)


def check_job(job: Job) -> None:
    """Raise InputError for wrong numbers of a job, and then for all that is wrong with its parts as well."""
    wrong = messages_of(lambda: check_numbers(job))
    if wrong:
        wrong += messages_of(lambda: check_parts(job))
    raise_all(job, wrong)


def messages_of(action: Callable[[], object]) -> list[str]:
    """What `action` refuses. Any other failure is left to the run itself, which names it."""
    try:
        action()
    except InputError as error:
        return list(error.messages)
    except Exception:
        return []
    return []


def raise_all(job: Job, wrong: list[str]) -> None:
    """Raise InputError with these messages, once each, if there are any."""
    if wrong:
        raise typed_only(job, InputError(*dict.fromkeys(wrong)))


def likeness(job: Job) -> dict[str, Any]:
    """The part of a job's configuration that decides whether its parts, numbers of the sampler aside, can be built."""
    kept = {key: value for key, value in job.config.items() if key not in APART}
    return kept | {"verb": job.verb, "sampler": (job.config.get("sampler") or {}).get("_target_")}


def check_numbers(job: Job) -> None:
    """Check the numbers of a job that need neither data nor energy; InputError with all that are wrong."""
    from ebm_cli.assembly.build import INJECTED, asks, make
    from ebm_cli.run.machine import resolve

    problems = Problems()
    config = job.config
    with problems.under():
        count("seed", config["seed"], least=0)
    with problems.under():
        resolve(config["device"], config["dtype"], config["threads"])
    with problems.under():
        one_of("figures", config.get("figures", "png"), FIGURES)
    compose.append_current_folder()
    with permitted(job.permission):
        nodes = {group: config[group] for group in ("sampler", "optimizer") if config.get(group)}
        for name, node in nodes.items():
            if not asks(node):
                with problems.under(name, but=INJECTED):
                    make(node)
        for group in ("metric", "diagnostic"):
            for name, node in (config.get(group) or {}).items():
                with problems.under(f"{group}.{name}", but=INJECTED):
                    make(node)
        check_verb(job, problems)
    problems.finish()


def check_verb(job: Job, problems: Problems) -> None:
    """Check the numbers that belong to a verb itself."""
    config = job.config
    if job.verb == "train":
        from ebm_cli.assembly.build import construct
        from ebm_cli.training.trainer import Trainer

        with problems.under("trainer"):
            construct(Trainer, config["trainer"])
    if job.verb == "sample":
        from ebm_cli.sampling.sampling_plan import SamplingPlan

        with problems.under():
            SamplingPlan.from_config(config)
    if "adapt" in config:
        from ebm_cli.chain.tuning import Tuning

        with problems.under():
            Tuning.from_config(config)
    if job.verb == "evaluate":
        with problems.under():
            count("budget", config["budget"])
        with problems.under():
            if config["temperature"] is not None:
                non_negative("temperature", config["temperature"])
        with problems.under():
            if config["samples"] is not None:
                count("samples", config["samples"], least=2)


def check_parts(job: Job) -> None:
    """Raise InputError for all that is wrong with the parts of a job, which are built as the verb builds them."""
    if job.verb == "diagnose" or job.folder is not None:
        return
    from ebm_cli.assembly.assemble import assemble
    from ebm_cli.assembly.data_record import read_data_record
    from ebm_cli.run.machine import resolve
    from ebm_cli.sampling.fresh_chains import ready_start

    config = job.config
    try:
        machine = resolve(config["device"], config["dtype"], config["threads"])
    except InputError:
        # It is reported with the numbers; what else is wrong does not depend on the machine.
        machine = resolve("cpu", "float32", 1)
    config = config | {"device": machine.device, "dtype": machine.dtype, "threads": machine.threads}
    source = job.source if isinstance(job.source, Run) else None
    if job.verb == "train" and config.get("init"):
        source = Run(config["init"])
    compose.append_current_folder()
    with machine.used(), permitted(job.permission):
        record = None if source is None else read_data_record(source)
        if record is not None and job.verb == "train":
            record = record.used_for("units")
        parts = assemble(config, machine, record)
        if job.verb == "sample":
            ready_start(config, parts, source)


def further(job: Callable[[], Job], error: WrongWords) -> InputError:
    """The error with all else that is wrong with its line, whose job without the wrong words `job` describes."""
    keys = {override.key_or_group for override in error.words}
    if keys & set(OF_RECIPE):
        return error
    more: list[str] = []
    with suppress(WrongWords):
        more = messages_of(lambda: Precheck().whole(job()))
    # What was meant is missing only because it is misspelt.
    keys |= {name for message in error.messages for name in re.findall(r"did you mean '([\w.]+)'", message)}
    last = {key.rpartition(".")[2] for key in keys}
    apart = [message for message in more if not follows(message, keys, last)]
    return InputError(*dict.fromkeys([*error.messages, *apart]))


def follows(message: str, keys: set[str], last: set[str]) -> bool:
    """Whether a message is of a key or group that was left out, or speaks of its value."""
    subject = message.split(" ")[0]
    return any(subject == key or subject.startswith(f"{key}.") for key in keys) or any(
        re.search(rf"\b{re.escape(word)}\b", message) for word in last
    )


def left(overrides: list[Any], error: WrongWords) -> list[Any]:
    """The words of a line without the wrong ones and without keys of options that are wrong."""
    keys = {override.key_or_group for override in error.words}
    return [
        o for o in overrides if o not in error.words and not any(o.key_or_group.startswith(f"{key}.") for key in keys)
    ]
