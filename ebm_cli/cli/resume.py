"""A training run continued in its own folder."""

from typing import Any

from ebm_cli.assembly.permission import Permission, admit
from ebm_cli.check import InputError
from ebm_cli.cli import runs
from ebm_cli.cli.job import Job
from ebm_cli.cli.keys import RESUME_MAY
from ebm_cli.cli.typed import value_of, without_same_targets
from ebm_cli.run.folder import Run


def resume(overrides: list[Any]) -> tuple[Job, Permission]:
    """A training run taken up in its own folder; only what cannot change its bits may be given."""
    named = value_of(overrides, "resume")
    assert named is not None
    run = runs.find(named, "train", "resume")
    assert isinstance(run, Run)
    config = run.whole_config()
    wrong = []
    for override in without_same_targets(config, overrides):
        key = override.key_or_group
        if key == "resume":
            continue
        if key not in RESUME_MAY:
            wrong.append(
                f"{key} cannot change on resume, only {', '.join(RESUME_MAY)} can; init={named} starts a new run"
            )
            continue
        if override.is_sweep_override() or override.is_delete() or override.is_add():
            wrong.append(f"{key} takes one value on resume, KEY=VALUE, got {override.input_line!r}")
            continue
        node, last = (config["trainer"], key.partition(".")[2]) if "." in key else (config, key)
        node[last] = override.value()
    if wrong:
        raise InputError(*wrong)
    refuse_what_is_done(run, named, config["trainer"]["steps"])
    permission = admit(run, config)
    return Job("train", config, folder=run.folder), permission


def refuse_what_is_done(run: Run, named: str, steps: Any) -> None:
    """Raise InputError for a run that has no step left to make.

    A run that was killed before its first checkpoint or before its last lines were written, or whose last checkpoint is
    damaged, has.
    """
    from ebm_cli.run import checkpoint

    if not checkpoint.has_checkpoint(run):
        return
    reached = checkpoint.reached(run)
    whole = int(checkpoint.newest_whole(run)[0].name.removeprefix("step-"))
    if isinstance(steps, int) and steps > 0 and (steps < reached or (steps == whole and run.is_finished())):
        raise InputError(
            f"trainer.steps must be > {reached}, the step that resume={named} has reached, got {steps}: "
            f"trainer.steps={2 * reached} extends it"
        )
