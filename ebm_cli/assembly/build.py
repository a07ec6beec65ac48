"""Build objects from plain dicts with a key `_target_`. Nothing else decides which classes may be built.

Classes of this package and torch's optimizers are built from any configuration. Other classes are imported only under
a `Permission`: the user typed their names, made the run that names them, or typed trust=true.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ebm_cli import check
from ebm_cli.assembly.permission import Config, current, foreign
from ebm_cli.check import InputError
from ebm_cli.run import shipped

# What a constructor may ask for by the name of a parameter, in addition to what its YAML gives.
INJECTED = ("event", "data", "path", "sampler", "start", "energy", "engine", "record", "run")


def locate(target: object) -> type:
    """Return the class with a dotted name such as `mine.Ring`. Raises InputError if it is missing or not permitted."""
    if not isinstance(target, str) or "." not in target or not all(name.isidentifier() for name in target.split(".")):
        raise InputError(f"_target_ must be MODULE.CLASS, got {target!r}")
    module_name, _, class_name = target.rpartition(".")
    if not shipped.is_shipped(target) and target not in current().targets:
        raise InputError(f"_target_={target} is not a class of ebm and was not typed: it is not imported")
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
            f"_target_={target}: {module_name} has no class {class_name!r}{check.nearest_hint(class_name, classes)}"
        )
    return found


def node_of(part: Any) -> Config:
    """Return the node from which `make` builds this dataclass again."""
    return {"_target_": f"{type(part).__module__}.{type(part).__name__}"} | dataclasses.asdict(part)


def _file_hint(target: str) -> str:
    """Return a hint at the file in which the class was when its run was made; empty if unknown."""
    path = dict(current().files).get(target)
    return f"; the run was made with {path}: go to its folder, or copy it here" if path else ""


def files_of(config: Config) -> dict[str, str]:
    """Return the file of every class outside this package, if it can be found."""
    found: dict[str, str] = {}
    for target in foreign(config).values():
        with suppress(InputError, TypeError, OSError):
            found[target] = str(Path(inspect.getfile(locate(target))).resolve())
    return found


def parameters_of(config: Config) -> Mapping[str, inspect.Parameter]:
    """Return the constructor's parameters of the class that a node names; no parameters if it cannot be found."""
    try:
        return inspect.signature(locate(str(config.get("_target_")))).parameters
    except (InputError, ValueError, TypeError):
        return {}


def asks(config: Config) -> set[str]:
    """Return the names in INJECTED that the class of a node asks for and the node does not give."""
    return {name for name in INJECTED if name in parameters_of(config) and name not in config}


def make(config: Config, **injected: Any) -> Any:
    """Return the object that a group's dict describes. Values in `injected` go to the parameters of the same name.

    A value that is a dict with `_target_` itself, such as a second data set, is built first. Raises InputError with
    every argument that is missing or unknown, or with what the class itself refuses.
    """
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    if config.get("_target_") in (None, "???"):
        raise InputError("_target_ must name a class: MODULE.CLASS")
    cls, problems = locate(config["_target_"]), check.Problems()
    for key, value in arguments.items():
        if isinstance(value, dict) and "_target_" in value:
            with problems.under(key):
                arguments[key] = make(value, **dict.fromkeys(INJECTED) | injected)
    problems.finish()
    return construct(cls, arguments, config["_target_"], **injected)


def construct(cls: type, arguments: dict[str, Any], target: str = "", **injected: Any) -> Any:
    """Return cls(**arguments). A value of `injected` is added if the class has a parameter of the same name.

    Raises InputError with every argument that is missing or unknown, or with all errors of the class itself.
    """
    arguments = dict(arguments)
    parameters = inspect.signature(cls).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name, value in injected.items():
        if name in parameters and name not in arguments:
            arguments[name] = value
    wrong = [
        f"{name} is not a parameter of {cls.__name__}{check.nearest_hint(name, parameters)}"
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
    """Return the messages of `error` and of all other wrong arguments, since a constructor may stop at the first.

    A wrong argument is replaced by the default of the class's YAML file, and the class is tried again.
    """
    messages = list(error.messages)
    # An interpolated default has no value here, and a node within the node is not built.
    shown = shipped.defaults(target).items()
    defaults = {name: value for name, value in shown if "${" not in str(value) and not isinstance(value, dict)}
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
            # An error that the defaults cause is not the user's mistake.
            break
    return messages


def with_role(group: str, built: Any, methods: tuple[str, ...]) -> Any:
    """Return `built`. Raises InputError unless it has the methods of its group."""
    lacks = [name for name in methods if not callable(getattr(built, name, None))]
    if lacks:
        raise InputError(
            f"_target_={type(built).__module__}.{type(built).__qualname__} is no {group}: it has no {lacks[0]}()"
        )
    return built
