"""Which classes beyond this package's own may be imported: those that a user typed, made or trusts."""

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
    """Which classes beyond this package's own may be imported.

    targets: their dotted names. trust: whether all that opened runs name are among them.
    retry: what to type after a refusal, with {trust} for the words that grant it. files: (name, file) of the classes
    that an opened run was made with.
    """

    targets: frozenset[str] = frozenset()
    trust: bool = False
    retry: str = "load_run(…, trust=True)"
    files: tuple[tuple[str, str], ...] = ()


NOTHING = Permission()
_PERMISSION: ContextVar[Permission] = ContextVar("permission", default=NOTHING)


def current() -> Permission:
    """The permission under which classes are built here."""
    return _PERMISSION.get()


@contextmanager
def permitted(permission: Permission) -> Iterator[None]:
    """Build under `permission` inside the block."""
    token = _PERMISSION.set(permission)
    try:
        yield
    finally:
        _PERMISSION.reset(token)


def foreign(node: Any, key: str = "", is_inner: bool = False) -> dict[str, str]:
    """Key and name of every class in a configuration, at any depth, that its group does not ship.

    is_inner: whether the node is an argument of another class, so that a class of any group may be there.
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
    """Today's permission with the classes that `config`, stored in `run`, names. part: see `refuse`.

    Raises InputError, before any import, for classes that this package does not ship, in a run that this user did not
    make, unless they were typed again or the run is trusted.
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
    """Raise InputError for classes that `place` names and that may not be built, if there are any.

    part: whether it is a run that another energy is composed of.
    """
    if not found:
        return
    permission = _PERMISSION.get()
    classes = ", ".join(f"{key}={target}" for key, target in list(found.items())[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    typed = " ".join(shlex.quote(f"{key}={target}") for key, target in found.items())
    advice = permission.retry
    if "{trust}" in advice:
        # Typed again they change a run's own nodes, not those of runs that its energy is composed of.
        again = "" if part or len(typed) > 120 else f" (or {typed})"
        advice = advice.replace("{trust}", "trust=true") + again
    raise InputError(
        f"{place} names classes that are not of ebm, and you did not make it on this account: {classes}{more}",
        f"nothing of it was imported; if you trust it, type {advice}",
    )
