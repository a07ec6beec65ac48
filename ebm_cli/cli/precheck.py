"""Check a job before it runs: its numbers, and whether its parts can be built."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from ebm_cli.assembly.permission import permitted
from ebm_cli.check import InputError, Problems, count, count_or_auto, non_negative, one_of, open_interval, positive
from ebm_cli.cli import compose
from ebm_cli.cli.job import Job
from ebm_cli.cli.run_job import without_dependent_keys
from ebm_cli.cli.words import WrongWords
from ebm_cli.run.folder import FIGURES, Run
from ebm_cli.run.shipped import option_name

# If the data or the recipe of a line is misspelt, the line is composed with another recipe's keys.
RECIPE_KEYS = ("data", "experiment")
METRICS_WITH_PATH = {"log_z", "nll", "custom"}
# Keys on which no part depends except the sampler.
SAMPLER_KEYS = (
    *("seed", "name", "out", "sampler", "trainer", "chains", "steps", "burn_in", "thin", "budget", "threads", "made"),
)


def check_job(job: Job, built: set[str] | None = None) -> None:
    """Raise InputError with all that is wrong with the numbers of a job and, if they are checked, with its parts.

    built: parts that were checked before. This job's parts are added, and checked if they are not among them. If None,
        they are checked only if a number is wrong, because the verb checks them when it builds them.
    """
    wrong = messages_of(lambda: check_numbers(job))
    parts = json.dumps(parts_config(job), sort_keys=True, default=str)
    if wrong or (built is not None and parts not in built):
        wrong += messages_of(lambda: check_parts(job))
        if built is not None:
            built.add(parts)
    if wrong:
        raise without_dependent_keys(job, InputError(*dict.fromkeys(wrong)))


def messages_of(action: Callable[[], object]) -> list[str]:
    """Return the messages of the InputError that `action` raises. The run itself reports any other failure."""
    try:
        action()
    except InputError as error:
        return list(error.messages)
    except Exception:
        return []
    return []


def parts_config(job: Job) -> dict[str, Any]:
    """Return the part of a job's configuration that decides whether its parts can be built."""
    kept = {key: value for key, value in job.config.items() if key not in SAMPLER_KEYS}
    return kept | {"verb": job.verb, "sampler": (job.config.get("sampler") or {}).get("_target_")}


def check_numbers(job: Job) -> None:
    """Raise InputError with all that is wrong with the numbers of a job, except numbers that need data or energy."""
    from ebm_cli.assembly.build import INJECTED, asks, make
    from ebm_cli.run.sampled import SampledRun

    config, problems = job.config, Problems()
    compose.append_current_folder()
    for prefix, check in verb_checks(job):
        with problems.under(prefix):
            check()
    nodes = {group: config.get(group) for group in ("sampler", "optimizer", "condition")}
    members = {f"{g}.{name}": node for g in ("metric", "diagnostic") for name, node in (config.get(g) or {}).items()}
    with permitted(job.permission):
        offered = {}
        if path := config.get("path"):
            # A path checks its numbers without data.
            with problems.under("path"):
                offered["path"] = make(path, data=None, run=SampledRun.from_config(config))
        buildable = {group: node for group, node in nodes.items() if node and asks(node) <= offered.keys()}
        for name, node in (buildable | members).items():
            with problems.under(name, unprefixed=INJECTED):
                make(node, **offered)
    problems.finish()


def check_image_is_used(config: dict[str, Any]) -> None:
    """Raise InputError for an image without a condition that observes it."""
    if config.get("image") is not None and not config.get("condition"):
        raise InputError("image needs a condition, which says what of it is known: type condition=left, or another one")


def verb_checks(job: Job) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the checks of a verb's own keys, each with the prefix of its messages."""
    from ebm_cli.run.machine import resolve

    config = job.config
    yield "", partial(count, "seed", config["seed"], minimum=0)
    yield "", partial(resolve, config["device"], config["dtype"], config["threads"])
    yield "", partial(one_of, "figures", config.get("figures", "png"), FIGURES)
    if job.verb == "train":
        from ebm_cli.assembly.build import construct
        from ebm_cli.training.trainer import Trainer

        yield "trainer", partial(construct, Trainer, config["trainer"])
    if job.verb == "sample":
        from ebm_cli.sampling.film import check_film
        from ebm_cli.sampling.picture_grid import PictureGrid
        from ebm_cli.sampling.sampling_plan import SamplingPlan

        yield "", partial(SamplingPlan.from_config, config)
        yield "", partial(check_image_is_used, config)
        yield "", partial(PictureGrid.parse, config.get("grid"))
        yield "", partial(check_film, config.get("film"))
    # Metrics that estimate log Z start at the path's base, whatever the sampler is.
    if job.verb != "diagnose" and not METRICS_WITH_PATH & set(config.get("metric") or ()):
        yield "", partial(check_path_is_used, job)
    if "adapt" in config:
        from ebm_cli.chain.tuning import Tuning

        yield "", partial(Tuning.from_config, config)
    if job.verb == "evaluate":
        for key in ("chains", "steps"):
            yield "", partial(count_or_auto, key, config[key])
        yield "", partial(count_or_auto, "burn_in", config["burn_in"], minimum=0)
        for key, bound in (("budget", count), ("target", positive), ("temperature", non_negative)):
            if config[key] is not None:
                yield "", partial(bound, key, config[key])
        yield "", partial(open_interval, "false_alarm", config["false_alarm"])
        if config["samples"] is not None:
            yield "", partial(count, "samples", config["samples"], minimum=2)


def check_path_is_used(job: Job) -> None:
    """Raise InputError if the line sets a path, and no chains move, or they move along none."""
    from ebm_cli.assembly.build import asks
    from ebm_cli.sampling.sampler_choice import keeps_sampler

    of_path = [key for key in job.typed_keys if key.partition(".")[0] == "path"]
    sampler = job.config["sampler"]
    # Without a sampler on the line, new chains move along the path that is.
    is_fixed = job.verb == "train" or keeps_sampler(job.typed_keys, sampler.get("temperature", 1.0))
    if of_path and is_fixed and option_name(sampler.get("_target_")) != "tempering":
        raise InputError(f"{of_path[0]} is used only by sampler=tempering. Type that as well, or leave it out")
    if job.verb == "train" and of_path and not {"sampler", "start"} <= asks(job.config.get("objective") or {}):
        raise InputError(f"{of_path[0]} is used only by objectives that move chains, such as objective=contrastive")


def check_parts(job: Job) -> None:
    """Build the parts of a job as the verb does. Raises InputError with all that is wrong with them."""
    if job.verb == "diagnose" or job.folder is not None:
        return
    from ebm_cli.assembly.assemble import assemble
    from ebm_cli.assembly.data_record import read_data_record
    from ebm_cli.run.machine import resolve
    from ebm_cli.sampling.fresh_chains import loaded_start

    config = job.config
    try:
        machine = resolve(config["device"], config["dtype"], config["threads"])
    except InputError:
        # The check of the numbers reports this error. Other errors do not depend on the machine.
        machine = resolve("cpu", "float32", 1)
    config = config | {"device": machine.device, "dtype": machine.dtype, "threads": machine.threads}
    source = job.source if isinstance(job.source, Run) else None
    if job.verb == "train" and config.get("init"):
        source = Run(config["init"])
    compose.append_current_folder()
    with machine.activate(), permitted(job.permission):
        record = None if source is None else read_data_record(source)
        if record is not None and job.verb == "train":
            record = record.used_for("units")
        parts = assemble(config, machine, record)
        if job.verb == "sample":
            loaded_start(config, parts, source)


def with_all_problems(error: WrongWords, job: Callable[[], Job]) -> InputError:
    """Return the error with everything else that is wrong with its line.

    job: composes the job of the line without its wrong words.
    """
    keys = {override.key_or_group for override in error.words}
    if keys & set(RECIPE_KEYS):
        return error
    more: list[str] = []
    with suppress(WrongWords):
        more = messages_of(lambda: check_job(job(), set()))
    # A key that the error suggests is missing only because it was misspelt.
    keys |= {name for message in error.messages for name in re.findall(r"did you mean '([\w.]+)'", message)}
    return InputError(*dict.fromkeys([*error.messages, *(message for message in more if not concerns(message, keys))]))


def concerns(message: str, keys: set[str]) -> bool:
    """Return True if a message is about any of these keys or groups, or mentions the last word of any of them."""
    subject = message.split(" ")[0]
    return any(
        f"{subject}.".startswith(f"{key}.") or re.search(rf"\b{re.escape(key.rpartition('.')[2])}\b", message)
        for key in keys
    )


def remaining_words(overrides: list[Any], error: WrongWords) -> list[Any]:
    """Return the words of a line without the wrong words and without the keys of wrong options."""
    wrong = tuple(f"{override.key_or_group}." for override in error.words)
    return [o for o in overrides if o not in error.words and not o.key_or_group.startswith(wrong)]
