"""From a command line to a finished run: find the run it names, compose, make the folder, run the verb, report."""

import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ebm_cli.assembly.build import locate
from ebm_cli.assembly.permission import NOTHING, Permission, admit, current, foreign, permitted, refuse
from ebm_cli.check import InputError
from ebm_cli.cli import compose, runs
from ebm_cli.cli.job import Job, perform, wrong_input
from ebm_cli.cli.keys import OF_MODEL, OF_TRAINING, RESUME_MAY, groups
from ebm_cli.cli.precheck import check_job, further, left
from ebm_cli.estimate import Estimate
from ebm_cli.run.folder import Run

SHARED = ("event", "dtype")


def launch(verb: str, arguments: list[str]) -> int:
    """Run one verb; returns the exit code and prints errors as lines on stderr."""
    many = any(word in ("-m", "--multirun") for word in arguments)
    words = [word for word in arguments if word not in ("-m", "--multirun")]
    try:
        overrides = compose.parse(words)
        resumed = value_of(overrides, "resume")
        if many or (resumed and (Path(resumed) / "sweep.yaml").exists()):
            from ebm_cli.cli.sweep import sweep

            return sweep(verb, overrides, Path(resumed) if resumed else None)
        job = prepare(verb, overrides)
        check_job(job)
        return finish(perform(job))
    except InputError as error:
        return wrong_input(error)


def value_of(overrides: list[Any], key: str) -> str | None:
    """The value that the line gives a plain key, as text."""
    for override in reversed(overrides):
        if override.key_or_group == key and not override.is_sweep_override():
            value = override.value()
            return None if value is None else str(value)
    return None


def permission_of(verb: str, overrides: list[Any]) -> Permission:
    """What the words of a typed line permit: the classes that they name, and trust=true."""
    names: set[str] = set()
    for override in overrides:
        if not override.is_sweep_override() and not override.is_delete():
            is_target = override.key_or_group.rpartition(".")[2] == "_target_"
            value = override.value()
            names |= set(named_targets({"_target_": value} if is_target else value))
    trust = value_of(overrides, "trust")
    if trust not in (None, "True", "False"):
        raise InputError(f"trust must be true or false, got {trust!r}")
    words = [compose.text(o) for o in overrides if o.key_or_group != "trust"]
    return Permission(frozenset(names), trust == "True", shlex.join(["ebm", verb, *words]) + " {trust}")


def named_targets(value: Any) -> list[str]:
    """Every `_target_` in a value, at any depth."""
    if isinstance(value, dict):
        own = [str(item) for key, item in value.items() if str(key) == "_target_"]
        return own + [name for item in value.values() for name in named_targets(item)]
    return [name for item in value for name in named_targets(item)] if isinstance(value, list) else []


def prepare(verb: str, overrides: list[Any], permission: Permission | None = None, place: str = "") -> Job:
    """The job that a command line without sweeps describes.

    permission: what may be imported where the line was not typed but is stored in `place`. InputError with all that is
    wrong: the words that cannot be read, and what the rest of the line gets wrong.
    """
    try:
        return prepared(verb, overrides, permission, place)
    except compose.WrongWords as error:
        rest = left(overrides, error)
        if not rest:
            raise
        raise further(lambda: prepared(verb, rest, permission, place), error) from None


def prepared(verb: str, overrides: list[Any], permission: Permission | None, place: str) -> Job:
    """The job of a line, with what may be imported for it; WrongWords for words that are wrong by themselves."""
    allowed = permission_of(verb, overrides) if permission is None else permission
    with permitted(allowed):
        job, came = described(verb, [o for o in overrides if o.key_or_group != "trust"])
        # What is neither of the run nor stored is typed, or of an option that the user typed.
        names = foreign(job.config)
        granted = allowed.targets | came.targets
        if permission is not None and not allowed.trust:
            refuse(place, {key: name for key, name in names.items() if name not in granted})
        return replace(job, permission=replace(came, targets=granted | set(names.values()), trust=allowed.trust))


def described(verb: str, overrides: list[Any]) -> tuple[Job, Permission]:
    """The job of a line, and what it and the runs that it opens permit."""
    if verb == "train" and value_of(overrides, "resume") is not None:
        return resume(overrides)
    key = "init" if verb == "train" else "run"
    named = value_of(overrides, key)
    source = runs.find(named, verb, key) if named is not None else None
    rest = [o for o in overrides if o.key_or_group != key]
    words = tuple(compose.text(o) for o in overrides)
    if verb == "diagnose" and source is None:
        raise InputError("run must be given: run=RUN of ebm sample, or run=FILE.npy")
    permission = current()
    own: dict[str, Any] = {}
    if isinstance(source, Run):
        own = source.whole_config()
        rest = without_same_targets(own, rest)
    base, rest = base_of(verb, source, rest)
    config = compose.compose(verb, rest, base)
    hold_from_anywhere(config, verb)
    config.pop("trust", None)
    if isinstance(source, Run):
        permission = admit(source, own if verb == "diagnose" else used(base.nodes | base.values, config))
    if source is not None:
        config[key] = runs.place(source)
    return Job(verb, config, source, words=words), permission


def used(nodes: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Of a run's own nodes, those whose classes the configuration still names."""
    left = set(foreign(config).values())
    return {group: node for group, node in nodes.items() if left & set(foreign({group: node}).values())}


def without_same_targets(own: dict[str, Any], overrides: list[Any]) -> list[Any]:
    """The words without those that type a `_target_` of the run again: they permit it and change nothing."""
    kept = []
    for override in overrides:
        path = override.key_or_group.split(".")
        node: Any = own
        for name in path:
            node = node.get(name) if isinstance(node, dict) else None
        if path[-1] != "_target_" or override.is_sweep_override() or override.value() != node:
            kept.append(override)
    return kept


def hold_from_anywhere(config: dict[str, Any], verb: str) -> None:
    """Replace the runs that an energy is composed of by their folders, which hold from any current folder.

    InputError for all that cannot be used, at once.
    """
    energy = config.get("energy")
    if not isinstance(energy, dict) or not isinstance(energy.get("runs"), list):
        return
    folders: list[str] = []
    wrong: list[str] = []
    for name in energy["runs"]:
        try:
            folders.append(runs.place(runs.find(str(name), verb, "energy.runs")))
        except InputError as error:
            wrong += error.messages
    if wrong:
        raise InputError(*wrong)
    config["energy"] = energy | {"runs": folders}


def base_of(verb: str, source: Run | Path | None, overrides: list[Any]) -> tuple[compose.Base, list[Any]]:
    """What a verb's configuration starts from: the groups of the run it names, or a recipe."""
    named = {o.key_or_group for o in overrides}
    if isinstance(source, Run) and verb != "diagnose":
        own = source.whole_config()
        if "energy" in named:
            raise InputError(f"energy comes from {'init' if verb == 'train' else 'run'}={source.folder}: name no other")
        if verb == "train" and (value_of(overrides, "experiment") is not None):
            # All of the other recipe, on this run's energy.
            return compose.Base({"energy": own["energy"]}, {key: own[key] for key in SHARED}), overrides
        if verb == "train":
            nodes = {group: own[group] for group in OF_TRAINING if own.get(group)}
            values = {key: own[key] for key in ("trainer", *SHARED)}
            return compose.Base(nodes, values), overrides
        nodes = {group: own[group] for group in OF_MODEL if own.get(group)}
        chosen = value_of(overrides, "start")
        with permitted(vouched(source, own)):
            led = led_start(own, chosen)
        nodes["start"] = led or start_node(own.get("start") or {}, chosen)
        if led or nodes["start"] is own.get("start"):
            overrides = [o for o in overrides if o.key_or_group != "start"]
        return compose.Base({k: v for k, v in nodes.items() if v}, {key: own[key] for key in SHARED}), overrides
    if verb == "train" and source is None and "experiment" not in named:
        data = value_of(overrides, "data")
        if data is None:
            return compose.Base(experiment="digits"), overrides
        if data in groups()["experiment"]:
            return compose.Base(experiment=data), overrides
    return compose.Base(), overrides


def vouched(run: Run, own: dict[str, Any]) -> Permission:
    """What may be imported of a run's whole configuration; nothing beyond today's where some of it may not."""
    try:
        return admit(run, own)
    except InputError:
        return NOTHING


def led_start(own: dict[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """The start that a run's objective has for its samples, where the line names that one or none."""
    node = own.get("objective") or {}
    with suppress(InputError):
        objective = locate(str(node.get("_target_")))
        # Only here, as it imports torch.
        from ebm_cli.objective import ProvidesStart

        if isinstance(objective, ProvidesStart):
            start = objective.start_of(node)
            return start if chosen in (None, str(start["_target_"]).split(".")[-2]) else None
    return None


def start_node(own: dict[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """Where a trained run's chains start when sampled: at noise of its own law; its buffer where asked for."""
    if chosen == "replay" and "size" in own:
        return own
    if "scale" not in own or "law" not in own:
        return None
    return {"_target_": "ebm_cli.start.noise.Noise", "law": own["law"], "scale": own["scale"]}


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
