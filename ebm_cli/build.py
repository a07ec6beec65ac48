"""Plain dicts with `_target_` into objects: the one place that decides what may be built."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from ebm_cli import check
from ebm_cli.check import InputError

Config = dict[str, Any]

# What a class may ask for by the name of a parameter, beside what its YAML gives.
OFFERED = ("event", "data", "sampler", "start", "energy", "engine", "record")


def locate(target: str) -> type:
    """The class that a dotted name such as `mine.Ring` names; InputError when there is none."""
    module_name, _, class_name = target.rpartition(".")
    if not module_name:
        raise InputError(f"_target_ must be MODULE.CLASS, got {target!r}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"_target_={target}: no module named {error.name!r} here or installed") from None
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


def make(config: Config, **offered: Any) -> Any:
    """The object that one group's dict describes; `offered` values go to parameters of that name.

    Raises InputError with every argument that is missing or unknown, or with what the class itself refuses.
    """
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    if config.get("_target_") in (None, "???"):
        raise InputError("_target_ must name a class: MODULE.CLASS")
    cls = locate(config["_target_"])
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
        f"{name} must be given: {cls.__name__} has no default for it"
        for name, p in parameters.items()
        if name not in arguments and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if wrong:
        raise InputError(*wrong)
    try:
        return cls(**arguments)
    except InputError:
        raise
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise InputError(f"_target_={config['_target_']} cannot be built: {error}") from error


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
