"""Plain dicts with `_target_` into objects: the one place that decides what may be built.

Classes of this package and torch's optimizers are built from any configuration. Other classes are imported only under
a `Permission`: the user typed their names, made the run that names them, or typed trust=true.
"""

import importlib
import inspect
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.run import shipped
from ebm_cli.run.folder import Run

Config = dict[str, Any]

# What a class may ask for by the name of a parameter, beside what its YAML gives.
OFFERED = ("event", "data", "sampler", "start", "energy", "engine", "record")


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


def foreign(node: Any, key: str = "") -> dict[str, str]:
    """Key and name of every class in a configuration, at any depth, that its group does not ship."""
    if isinstance(node, list):
        return {k: t for number, item in enumerate(node) for k, t in foreign(item, f"{key}.{number}").items()}
    if not isinstance(node, dict):
        return {}
    found: dict[str, str] = {}
    for name, value in node.items():
        inside = f"{key}.{name}".lstrip(".")
        if name == "_target_" and value != "???":
            group = key.partition(".")[0]
            if not isinstance(value, str) or not shipped.is_shipped(value, group):
                found[inside] = str(value)
        elif inside != "made":
            found |= foreign(value, inside)
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


def locate(target: object) -> type:
    """The class that a dotted name such as `mine.Ring` names; InputError when there is none or it is not permitted."""
    if not isinstance(target, str) or "." not in target or not all(name.isidentifier() for name in target.split(".")):
        raise InputError(f"_target_ must be MODULE.CLASS, got {target!r}")
    module_name, _, class_name = target.rpartition(".")
    if not shipped.is_shipped(target) and target not in _PERMISSION.get().targets:
        raise InputError(f"_target_={target} is no class of ebm and was not typed: it is not imported")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"_target_={target}: no module named {error.name!r} here or installed{_file_hint(target)}"
        ) from None
    except Exception as error:
        raise InputError(
            f"_target_={target}: importing {module_name} fails: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(
            f"_target_={target}: {module_name} has no class {class_name!r}{check.nearest(class_name, classes)}"
        )
    return found


def _file_hint(target: str) -> str:
    """Where the class was when the run that names it was made."""
    path = dict(_PERMISSION.get().files).get(target)
    return f"; the run was made with {path}: go to its folder, or copy it here" if path else ""


def files_of(config: Config) -> dict[str, str]:
    """The file of every class that is not of this package, as far as it can be found."""
    found: dict[str, str] = {}
    for target in foreign(config).values():
        with suppress(InputError, TypeError, OSError):
            found[target] = str(Path(inspect.getfile(locate(target))).resolve())
    return found


def asks(config: Config) -> set[str]:
    """Which of OFFERED the class of a group's dict asks for and is not given; none where it cannot be found."""
    try:
        parameters = inspect.signature(locate(str(config.get("_target_")))).parameters
    except (InputError, ValueError, TypeError):
        return set()
    return {name for name in OFFERED if name in parameters and name not in config}


def make(config: Config, **offered: Any) -> Any:
    """The object that one group's dict describes; `offered` values go to parameters of that name.

    Raises InputError with every argument that is missing or unknown, or with what the class itself refuses.
    """
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    if config.get("_target_") in (None, "???"):
        raise InputError("_target_ must name a class: MODULE.CLASS")
    cls = locate(config["_target_"])
    return construct(cls, arguments, config["_target_"], **offered)


def construct(cls: type, arguments: dict[str, Any], target: str = "", **offered: Any) -> Any:
    """cls(**arguments), with those of `offered` that it has parameters for.

    Raises InputError with every argument that is missing or unknown, or with all that the class itself refuses.
    """
    arguments = dict(arguments)
    parameters = inspect.signature(cls).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name, value in offered.items():
        if name in parameters and name not in arguments:
            arguments[name] = value
    wrong = [
        f"{name} is not a parameter of {cls.__name__}{check.nearest(name, parameters)}"
        for name in arguments
        if name not in parameters and not open_ended
    ]
    wrong += [
        f"{name} must be given: {cls.__name__} has no default for it; type a + before its name"
        for name, p in parameters.items()
        if name not in arguments and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if wrong:
        raise InputError(*wrong)
    try:
        return cls(**arguments)
    except InputError as error:
        raise InputError(*all_wrong(cls, arguments, target, error)) from None
    except MemoryError:
        raise
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"_target_={target or cls.__name__} cannot be built: {what}") from error


def all_wrong(cls: type, arguments: dict[str, Any], target: str, error: InputError) -> list[str]:
    """The messages of `error` and those of further arguments: a constructor stops at the first that it refuses.

    A refused argument is replaced by the default of the class's YAML file, and the class is tried again.
    """
    messages = list(error.messages)
    # An interpolated default has no value here.
    defaults = {name: value for name, value in shipped.defaults(target).items() if "${" not in str(value)}
    for _ in arguments:
        named = {message.split(" ")[0] for message in error.messages}
        mended = {name: defaults[name] for name in named & set(defaults) & set(arguments)}
        if not mended or all(arguments[name] == value for name, value in mended.items()):
            break
        arguments = arguments | mended
        try:
            cls(**arguments)
            break
        except InputError as another:
            error = another
            messages += [message for message in another.messages if message not in messages]
        except Exception:
            # The first message holds whatever comes of the defaults.
            break
    return messages


def with_role(group: str, built: Any, methods: tuple[str, ...]) -> Any:
    """`built` itself; InputError unless it has the methods of its group."""
    lacks = [name for name in methods if not callable(getattr(built, name, None))]
    if lacks:
        raise InputError(
            f"_target_={type(built).__module__}.{type(built).__qualname__} is no {group}: it has no {lacks[0]}()"
        )
    return built


class Gather:
    """Collects InputErrors so that a user sees all that is wrong at once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def attempt(self, prefix: str, action: Callable[[], Any]) -> Any:
        """action(), or None with its messages kept under `prefix`."""
        try:
            return action()
        except InputError as error:
            self.messages += (error.under(prefix, but=OFFERED) if prefix else error).messages
            return None

    def finish(self) -> None:
        """Raise everything collected, once each."""
        if self.messages:
            raise InputError(*dict.fromkeys(self.messages))


def together(**actions: Callable[[], Any]) -> list[Any]:
    """The results of several checks; InputError with what all of them refuse, under their names.

    A name that begins with an underscore is no prefix of its messages.
    """
    gather = Gather()
    results = [gather.attempt("" if name.startswith("_") else name, action) for name, action in actions.items()]
    gather.finish()
    return results
