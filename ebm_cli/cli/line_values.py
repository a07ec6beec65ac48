"""Read the words of a typed line: the value of a key, and which classes may be imported."""

import shlex
from typing import Any

from ebm_cli.assembly.permission import Permission
from ebm_cli.check import InputError
from ebm_cli.cli.words import text
from ebm_cli.run.nested import value_at


def value_of(overrides: list[Any], key: str) -> str | None:
    """Return as text the value that the line gives to a plain key; None if it gives none."""
    for override in reversed(overrides):
        if override.key_or_group == key and not override.is_sweep_override():
            value = override.value()
            return None if value is None else str(value)
    return None


def permission_of(verb: str, overrides: list[Any]) -> Permission:
    """Return the permission that a typed line grants: for the classes that it names, or for all with trust=true."""
    names: set[str] = set()
    for override in overrides:
        if not override.is_sweep_override() and not override.is_delete():
            is_target = override.key_or_group.rpartition(".")[2] == "_target_"
            value = override.value()
            names |= set(targets_in({"_target_": value} if is_target else value))
    trust = value_of(overrides, "trust")
    if trust not in (None, "True", "False"):
        raise InputError(f"trust must be true or false, got {trust!r}")
    words = [text(o) for o in overrides if o.key_or_group != "trust"]
    return Permission(frozenset(names), trust == "True", shlex.join(["ebm", verb, *words]) + " {trust}")


def targets_in(value: Any) -> list[str]:
    """Return every `_target_` in a value, at any depth."""
    if isinstance(value, dict):
        own = [str(item) for key, item in value.items() if str(key) == "_target_"]
        return own + [name for item in value.values() for name in targets_in(item)]
    return [name for item in value for name in targets_in(item)] if isinstance(value, list) else []


def without_repeated_targets(own: dict[str, Any], overrides: list[Any]) -> list[Any]:
    """Return the words that change something. A word that repeats a `_target_` of the run only permits its import."""

    def repeats(override: Any) -> bool:
        is_target = override.key_or_group.rpartition(".")[2] == "_target_"
        is_plain = is_target and not override.is_sweep_override()
        return is_plain and override.value() == value_at(own, override.key_or_group)

    return [override for override in overrides if not repeats(override)]
