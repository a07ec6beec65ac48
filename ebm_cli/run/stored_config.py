"""Check that a verb can use the configuration of a stored run."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any

from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.damage import damage_error

# The types of the keys of config.yaml.
TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("energy", "data", "path", "sampler", "start", "objective", "optimizer"), (dict, NoneType)),
    **dict.fromkeys(("regularizer", "metric", "diagnostic"), (dict, list, NoneType)),
    **dict.fromkeys(("run", "init"), (str, NoneType)),
    **dict.fromkeys(("device", "dtype", "engine", "weights", "figures"), (str,)),
    "trainer": (dict,),
    "seed": (int,),
    "threads": (int, str),
    "event": (list, int, NoneType),
    "checkpoint": (str, int),
}
COMMON_KEYS = ("seed", "device", "dtype", "threads")
NEVER_NULL = ("energy", "sampler", "trainer")
# The keys that each verb always writes.
KEYS_BY_VERB = {
    "train": ("energy", "sampler", "trainer", "event", *COMMON_KEYS),
    "sample": ("energy", "sampler", "event", "checkpoint", "weights", *COMMON_KEYS),
    "evaluate": COMMON_KEYS,
    "diagnose": COMMON_KEYS,
}


def require_types(config: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the keys of a stored configuration have their types and its values are resolved."""
    for error in config_errors(config):
        raise damage_error(path, error)


def config_errors(config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a stored configuration."""
    for key, kinds in TYPES.items():
        if key in config and (not isinstance(config[key], kinds) or isinstance(config[key], bool)):
            names = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
            yield f"{key} must be of type {names}, got {_excerpt(config[key])}"
    event, made = config.get("event"), config["made"]
    if isinstance(event, list) and not all(type(side) is int for side in event):
        yield f"event must hold whole numbers, got {_excerpt(event)}"
    for key in ("regularizer", "metric", "diagnostic"):
        members = config.get(key) or {}
        if isinstance(members, list):
            yield f"{key} must be of type dict, got a list"
            continue
        for name, node in members.items():
            if not isinstance(node, dict):
                yield f"{key}.{name} must be of type dict, got {_excerpt(node)}"
    verb = made.get("verb", "train")
    if not isinstance(verb, str) or verb not in KEYS_BY_VERB:
        yield f"made.verb must be one of {', '.join(KEYS_BY_VERB)}, got {_excerpt(verb)}"
    for key in ("command", "ebm", "torch", "created"):
        if not isinstance(made.get(key, ""), str):
            yield f"made.{key} must be text"
    for key in stored.interpolations({key: value for key, value in config.items() if key != "made"}):
        yield f"{key} holds an interpolation; stored files must not hold one"
    for key in (key for key, value in config.items() if isinstance(value, dict) and "defaults" in value):
        yield f"{key}.defaults is not a key of a run"
    for key in (key for key in config.get("trainer") or {} if not key.isidentifier()):
        yield f"trainer has no key {key!r}"


def _excerpt(value: Any) -> str:
    """Return the first 40 characters of a value."""
    return repr(str(value)[:40])
