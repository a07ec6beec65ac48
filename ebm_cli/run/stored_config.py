"""What the configuration of a stored run must hold, so that a verb can use it."""

from pathlib import Path
from types import NoneType
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.run import signed_yaml as stored

# What config.yaml holds: the type of its keys, and those that a verb always leaves.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("energy", "data", "sampler", "start", "objective", "optimizer"), (dict, NoneType)),
    **dict.fromkeys(("regularizer", "metric", "diagnostic"), (dict, list, NoneType)),
    **dict.fromkeys(("run", "init"), (str, NoneType)),
    **dict.fromkeys(("device", "dtype", "engine", "weights"), (str,)),
    "figures": (str,),
    "trainer": (dict,),
    "seed": (int,),
    "threads": (int, str),
    "event": (list, int, NoneType),
    "checkpoint": (str, int),
}
OF_ALL = ("seed", "device", "dtype", "threads")
NEVER_NULL = ("energy", "sampler", "trainer")
LEFT = {
    "train": ("energy", "sampler", "trainer", "event", *OF_ALL),
    "sample": ("energy", "sampler", "event", "checkpoint", "weights", *OF_ALL),
    "evaluate": OF_ALL,
    "diagnose": OF_ALL,
}


def hold_types(config: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the keys of a stored configuration have their types and nothing in it is unresolved."""
    for key, kinds in KINDS.items():
        if key in config and (not isinstance(config[key], kinds) or isinstance(config[key], bool)):
            names = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
            raise InputError(f"{path} is damaged: {key} must be of type {names}, got {str(config[key])[:40]!r}")
    event = config.get("event")
    if isinstance(event, list) and not all(type(side) is int for side in event):
        raise InputError(f"{path} is damaged: event must hold whole numbers, got {str(event)[:40]!r}")
    for key in ("regularizer", "metric", "diagnostic"):
        members = config.get(key) or {}
        if isinstance(members, list) and members:
            raise InputError(f"{path} is damaged: {key} must be of type dict, got a list")
        for name, node in members.items() if isinstance(members, dict) else ():
            if not isinstance(node, dict):
                raise InputError(f"{path} is damaged: {key}.{name} must be of type dict, got {str(node)[:40]!r}")
    verb = config["made"].get("verb", "train")
    if not isinstance(verb, str) or verb not in LEFT:
        raise InputError(f"{path} is damaged: made.verb must be one of {', '.join(LEFT)}, got {str(verb)[:40]!r}")
    for key in ("command", "ebm", "torch", "created"):
        if not isinstance(config["made"].get(key, ""), str):
            raise InputError(f"{path} is damaged: made.{key} must be text")
    unresolved = stored.interpolations({key: value for key, value in config.items() if key != "made"})
    if unresolved:
        raise InputError(f"{path} is damaged: {unresolved[0]} holds an interpolation, which stored files must not")
    defaults = [key for key, value in config.items() if isinstance(value, dict) and "defaults" in value]
    if defaults:
        raise InputError(f"{path} is damaged: {defaults[0]}.defaults is no key of a run")
    odd = [key for key in config.get("trainer") or {} if not key.isidentifier()]
    if odd:
        raise InputError(f"{path} is damaged: trainer has no key {odd[0]!r}")
