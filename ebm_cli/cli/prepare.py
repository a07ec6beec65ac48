"""From a command line to a job: find the run that it names, and compose its configuration."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ebm_cli.assembly.build import locate
from ebm_cli.assembly.permission import NOTHING, Permission, admit, current, foreign, permitted, refuse
from ebm_cli.check import InputError
from ebm_cli.cli import compose, runs
from ebm_cli.cli.job import Job
from ebm_cli.cli.keys import OF_MODEL, OF_TRAINING, groups
from ebm_cli.cli.precheck import further, left
from ebm_cli.cli.resume import resume
from ebm_cli.cli.typed import permission_of, value_of, without_same_targets
from ebm_cli.cli.words import WrongWords, text
from ebm_cli.run.folder import Run

SHARED = ("event", "dtype")


def prepare(verb: str, overrides: list[Any], permission: Permission | None = None, place: str = "") -> Job:
    """The job that a command line without sweeps describes.

    permission: what may be imported where the line was not typed but is stored in `place`. InputError with all that is
    wrong: the words that cannot be read, and what the rest of the line gets wrong.
    """
    try:
        return prepared(verb, overrides, permission, place)
    except WrongWords as error:
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
    words = tuple(text(o) for o in overrides)
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
    if "scale" not in own or "distribution" not in own:
        return None
    return {"_target_": "ebm_cli.start.noise.Noise", "distribution": own["distribution"], "scale": own["scale"]}
