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
    """Return the job that continues a training run. Its words may set only keys that do not change the results."""
    named = value_of(overrides, "resume")
    assert named is not None
    run = runs.find(named, "train", "resume")
    assert isinstance(run, Run)
    config = run.whole_config()
    words = [o for o in without_repeated_targets(config, overrides) if o.key_or_group != "resume"]
    wrong = list(word_errors(words, named))
    if wrong:
        raise InputError(*wrong)
    for override in words:
        group, mark, name = override.key_or_group.partition(".")
        node, last = (config[group], name) if mark else (config, group)
        node[last] = override.value()
    require_steps_left(run, named, config["trainer"]["steps"])
    return Job("train", config, folder=run.folder), admit(run, config)


def word_errors(overrides: list[Any], named: str) -> Iterator[str]:
    """Yield what is wrong with the words that resume a run."""
    for override in overrides:
        key = override.key_or_group
        if key not in RESUME_KEYS:
            yield f"{key} cannot change on resume, only {', '.join(RESUME_KEYS)} can; init={named} starts a new run"
        elif override.is_sweep_override() or override.is_delete() or override.is_add():
            yield f"{key} takes one value on resume, KEY=VALUE, got {override.input_line!r}"


def require_steps_left(run: Run, named: str, steps: Any) -> None:
    """Raise InputError if a run has reached its last step.

    Work is left if the run was killed before its first checkpoint or before it wrote its results, or if its last
    checkpoint is damaged.
    """
    from ebm_cli.run import checkpoint

    if not checkpoint.has_checkpoint(run):
        return
    last = checkpoint.last_step(run)
    readable = int(checkpoint.newest_checkpoint(run)[0].name.removeprefix("step-"))
    if isinstance(steps, int) and steps > 0 and (steps < last or (steps == readable and run.is_finished())):
        raise InputError(
            f"trainer.steps must be > {last}, the step that resume={named} has reached, got {steps}: "
            f"trainer.steps={2 * last} extends the run"
        )
