"""Turn a command line into a job: find the run that it names, and compose its configuration."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ebm_cli.assembly.build import locate
from ebm_cli.assembly.permission import NOTHING, Permission, admit, current, foreign, permitted, refuse
from ebm_cli.check import InputError, Problems
from ebm_cli.cli import compose, runs
from ebm_cli.cli.job import Job
from ebm_cli.cli.keys import MODEL_GROUPS, TRAINING_GROUPS, groups
from ebm_cli.cli.line_values import permission_of, value_of, without_repeated_targets
from ebm_cli.cli.precheck import remaining_words, with_all_problems
from ebm_cli.cli.resume import resume
from ebm_cli.cli.words import WrongWords, text
from ebm_cli.run.folder import Run

SHARED_KEYS = ("event", "dtype")


def prepare(verb: str, overrides: list[Any], permission: Permission | None = None, place: str = "") -> Job:
    """Return the job of a command line without sweeps.

    Raises InputError with all that is wrong with the line.

    permission: what a stored line may import; None for a line that was typed.
    place: the words that name the place of a stored line in an error message.
    """
    try:
        return permitted_job(verb, overrides, permission, place)
    except WrongWords as error:
        rest = remaining_words(overrides, error)
        if not rest:
            raise
        raise with_all_problems(error, lambda: permitted_job(verb, rest, permission, place)) from None


def permitted_job(verb: str, overrides: list[Any], permission: Permission | None, place: str) -> Job:
    """Return the job of a line, with what may be imported for it. Raises WrongWords for words that are wrong."""
    allowed = permission_of(verb, overrides) if permission is None else permission
    with permitted(allowed):
        job, admitted = compose_job(verb, [o for o in overrides if o.key_or_group != "trust"])
        # Any other class in the configuration was typed, or comes from an option that the user typed.
        names = foreign(job.config)
        granted = allowed.targets | admitted.targets
        if permission is not None and not allowed.trust:
            refuse(place, {key: name for key, name in names.items() if name not in granted})
        return replace(job, permission=replace(admitted, targets=granted | set(names.values()), trust=allowed.trust))


def compose_job(verb: str, overrides: list[Any]) -> tuple[Job, Permission]:
    """Return the job of a line, and what the line and the runs that it opens permit."""
    if verb == "train" and value_of(overrides, "resume") is not None:
        return resume(overrides)
    key = "init" if verb == "train" else "run"
    named = value_of(overrides, key)
    source = runs.find(named, verb, key) if named is not None else None
    rest = [o for o in overrides if o.key_or_group != key]
    if verb == "diagnose" and source is None:
        raise InputError("run must be given: run=RUN of ebm sample, or run=FILE.npy")
    permission = current()
    own: dict[str, Any] = {}
    if isinstance(source, Run):
        own = source.whole_config()
        rest = without_repeated_targets(own, rest)
    base, rest = base_of(verb, source, rest)
    config = compose.compose(verb, rest, base)
    make_runs_absolute(config, verb)
    config.pop("trust", None)
    if isinstance(source, Run):
        permission = admit(source, own if verb == "diagnose" else nodes_in_use(base.nodes | base.values, config))
    if source is not None:
        config[key] = runs.path_of(source)
    return Job(verb, config, source, words=tuple(map(text, overrides))), permission


def nodes_in_use(nodes: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the nodes of a run whose classes the configuration still names."""
    names = set(foreign(config).values())
    return {group: node for group, node in nodes.items() if names & set(foreign({group: node}).values())}


def make_runs_absolute(config: dict[str, Any], verb: str) -> None:
    """Replace the runs of which an energy is composed by their absolute folders.

    Raises InputError that names all runs that cannot be used.
    """
    energy = config.get("energy")
    if not isinstance(energy, dict) or not isinstance(energy.get("runs"), list):
        return
    folders: list[str] = []
    problems = Problems()
    for name in energy["runs"]:
        with problems.under():
            folders.append(runs.path_of(runs.find(str(name), verb, "energy.runs")))
    problems.finish()
    config["energy"] = energy | {"runs": folders}


def base_of(verb: str, source: Run | Path | None, overrides: list[Any]) -> tuple[compose.Base, list[Any]]:
    """Return the base of a verb's configuration (the groups of its run, or a recipe) and the remaining words."""
    named = {o.key_or_group for o in overrides}
    if isinstance(source, Run) and verb != "diagnose":
        own = source.whole_config()
        if "energy" in named:
            key = "init" if verb == "train" else "run"
            raise InputError(f"energy comes from {key}={source.folder}: do not name another")
        values = {key: own[key] for key in SHARED_KEYS}
        if verb != "train":
            return sampling_base(source, own, values, overrides)
        if value_of(overrides, "experiment") is not None:
            # The recipe that the line names gives everything else.
            return compose.Base({"energy": own["energy"]}, values), overrides
        nodes = {group: own[group] for group in TRAINING_GROUPS if own.get(group)}
        return compose.Base(nodes, {"trainer": own["trainer"]} | values), overrides
    if verb == "train" and source is None and "experiment" not in named:
        data = value_of(overrides, "data") or "digits"
        return compose.Base(experiment=data if data in groups()["experiment"] else None), overrides
    return compose.Base(), overrides


def sampling_base(
    source: Run, own: dict[str, Any], values: dict[str, Any], overrides: list[Any]
) -> tuple[compose.Base, list[Any]]:
    """Return the base of `ebm sample` or `ebm evaluate` of a run, and the words without a start of the run itself."""
    nodes = {group: own[group] for group in MODEL_GROUPS if own.get(group)}
    chosen = value_of(overrides, "start")
    with permitted(permission_or_nothing(source, own)):
        start = objective_start(own, chosen)
    nodes["start"] = start or start_node(own.get("start") or {}, chosen)
    if start or nodes["start"] is own.get("start"):
        overrides = [o for o in overrides if o.key_or_group != "start"]
    return compose.Base({group: node for group, node in nodes.items() if node}, values), overrides


def permission_or_nothing(run: Run, own: dict[str, Any]) -> Permission:
    """Return the permission to import every class that a run names; no permission if any of them is refused."""
    try:
        return admit(run, own)
    except InputError:
        return NOTHING


def objective_start(own: dict[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """Return the start that a run's objective provides for samples, unless the line chooses another start."""
    node = own.get("objective") or {}
    with suppress(InputError):
        objective = locate(str(node.get("_target_")))
        # This imports torch.
        from ebm_cli.start import ProvidesStart

        if isinstance(objective, ProvidesStart):
            start = objective.start_of(node)
            return start if chosen in (None, str(start["_target_"]).split(".")[-2]) else None
    return None


def start_node(own: dict[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """Return the start of a trained run's chains: its own noise distribution, or its replay buffer if chosen."""
    if chosen == "replay" and "size" in own:
        return own
    if "scale" not in own or "distribution" not in own:
        return None
    return {"_target_": "ebm_cli.start.noise.Noise", "distribution": own["distribution"], "scale": own["scale"]}
