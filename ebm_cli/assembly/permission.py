"""The permission to import classes outside this package: classes that a user typed, made, or trusts."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.run import shipped
from ebm_cli.run.folder import Run

Config = dict[str, Any]


@dataclass(frozen=True)
class Permission:
    """The classes outside this package that may be imported.

    targets: their dotted names.
    trust: True to permit all classes that an opened run names.
    retry: the line to type after a refusal, with {trust} in place of the words that grant permission.
    files: (name, file) of the classes with which an opened run was made.
    """

    targets: frozenset[str] = frozenset()
    trust: bool = False
    retry: str = "load_run(…, trust=True)"
    files: tuple[tuple[str, str], ...] = ()


NOTHING = Permission()
_PERMISSION: ContextVar[Permission] = ContextVar("permission", default=NOTHING)


def current() -> Permission:
    """Return the permission of the present context."""
    return _PERMISSION.get()


@contextmanager
def permitted(permission: Permission) -> Iterator[None]:
    """Make `permission` the present permission inside the block."""
    token = _PERMISSION.set(permission)
    try:
        yield
    finally:
        _PERMISSION.reset(token)


def foreign(node: Any, key: str = "", is_inner: bool = False) -> dict[str, str]:
    """Return key and name of every class in a configuration, at any depth, that its group does not ship.

    is_inner: True if the node is an argument of another class, so that a class of any group may be there.
    """
    if isinstance(node, list):
        items = [foreign(item, f"{key}.{number}", is_inner) for number, item in enumerate(node)]
        return {k: t for found in items for k, t in found.items()}
    if not isinstance(node, dict):
        return {}
    found: dict[str, str] = {}
    for name, value in node.items():
        inside = f"{key}.{name}".lstrip(".")
        if name == "_target_" and value != "???":
            group = None if is_inner else key.partition(".")[0]
            if not isinstance(value, str) or not shipped.is_shipped(value, group):
                found[inside] = str(value)
        elif inside != "made":
            found |= foreign(value, inside, is_inner or "_target_" in node)
    return found


def admit(run: Run, config: Config, part: bool = False) -> Permission:
    """Return the present permission, extended by the classes that the stored `config` of `run` names.

    Raises InputError, before any import, if the run was not made on this account and names a class outside this package
    that was not typed again, unless the run is trusted.

    part: see `refuse`.
    """
    permission = _PERMISSION.get()
    found = foreign(config)
    if found:
        files = run.config()["made"].get("files")
        pairs = files.items() if isinstance(files, dict) else ()
        known = tuple((name, path) for name, path in pairs if isinstance(path, str))
        permission = replace(permission, files=permission.files + known)
    if permission.trust or (found and run.is_signed()):
        return replace(permission, targets=permission.targets | set(found.values()))
    unknown = {key: target for key, target in found.items() if target not in permission.targets}
    refuse(f"run={run.folder}", unknown, part)
    return permission


def refuse(place: str, found: dict[str, str], part: bool = False) -> None:
    """Raise InputError for the classes in `found` (if any), because `place` names them without permission.

    part: True if the place is a run of which another energy is composed.
    """
    if not found:
        return
    permission = _PERMISSION.get()
    classes = ", ".join(f"{key}={target}" for key, target in list(found.items())[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    typed = " ".join(shlex.quote(f"{key}={target}") for key, target in found.items())
    advice = permission.retry
    if "{trust}" in advice:
        # A class that is typed again changes a node of the run itself, not of a run of which its energy is composed.
        again = "" if part or len(typed) > 120 else f" (or {typed})"
        advice = advice.replace("{trust}", "trust=true") + again
    raise InputError(
        f"{place} names classes that are not of ebm, and you did not make it on this account: {classes}{more}",
        f"nothing of it was imported; if you trust it, type {advice}",
    )
