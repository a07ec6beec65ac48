"""Continue a training run in its own folder."""

from collections.abc import Iterator
from typing import Any

from ebm_cli.assembly.permission import Permission, admit
from ebm_cli.check import InputError
from ebm_cli.cli import runs
from ebm_cli.cli.job import Job
from ebm_cli.cli.keys import RESUME_KEYS
from ebm_cli.cli.line_values import value_of, without_repeated_targets
from ebm_cli.run.folder import Run


def resume(overrides: list[Any]) -> tuple[Job, Permission]:
    """Return the job that continues a training run, and the classes that it may import.

    overrides: the words of the command line. They may set only keys that do not change the steps that were made.
    """
    run_word = value_of(overrides, "resume")
    assert run_word is not None
    run = runs.find(run_word, "train", "resume")
    assert isinstance(run, Run)
    config = run.whole_config()
    words = [o for o in without_repeated_targets(config, overrides) if o.key_or_group != "resume"]
    errors = list(word_errors(words, run_word))
    if errors:
        raise InputError(*errors)
    for override in words:
        group, dot, name = override.key_or_group.partition(".")
        node, last = (config[group], name) if dot else (config, group)
        node[last] = override.value()
    require_steps_left(run, run_word, config["trainer"]["steps"])
    return Job("train", config, folder=run.folder), admit(run, config)


def word_errors(overrides: list[Any], run_word: str) -> Iterator[str]:
    """Yield what is wrong with the other words of a line with resume=RUN.

    run_word: the run as the user typed it.
    """
    for override in overrides:
        key = override.key_or_group
        if key not in RESUME_KEYS:
            yield f"{key} cannot change on resume, only {', '.join(RESUME_KEYS)} can; init={run_word} starts a new run"
        elif override.is_sweep_override() or override.is_delete() or override.is_add():
            yield f"{key} takes one value on resume, KEY=VALUE, got {override.input_line!r}"


def require_steps_left(run: Run, run_word: str, steps: Any) -> None:
    """Raise InputError if a run has reached its last step and nothing is left to do.

    A run at its last step is still resumed if it was killed before it wrote its results, or if its last checkpoint is
    damaged. A run without a checkpoint starts again.

    run_word: the run as the user typed it.
    steps: the value of trainer.steps. Other checks report one that is not a number > 0.
    """
    from ebm_cli.run import checkpoint

    if not checkpoint.has_checkpoint(run):
        return
    last = checkpoint.last_step(run)
    readable = int(checkpoint.newest_checkpoint(run)[0].name.removeprefix("step-"))
    if isinstance(steps, int) and steps > 0 and (steps < last or (steps == readable and run.is_finished())):
        raise InputError(
            f"trainer.steps must be > {last}, the step that resume={run_word} has reached, got {steps}: "
            f"trainer.steps={2 * last} extends the run"
        )
