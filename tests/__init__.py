"""What jaxtyping's import hook puts around every function of ebm_cli while tests run: its annotations are enforced.

jaxtyping's own wrapper binds the arguments of each call and checks them twice. Here only a function whose annotations
have shapes opens a scope for the names of axes, and beartype checks each call once; all others have beartype alone.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

# An int stands for a float, as in PEP 484 and as users write them.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
scope = jaxtyping.jaxtyped("context")


def has_shape(annotation: Any) -> bool:
    """Return whether a shape such as Float[Tensor, "n d"] is part of an annotation."""
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(annotation))


def resolve_names(function: Any) -> None:
    """Replace annotations in quotes by the types that they name, or by Any if those are not there yet."""
    for name, annotation in function.__annotations__.items():
        if isinstance(annotation, str):
            try:
                function.__annotations__[name] = eval(annotation, function.__globals__)
            except (NameError, AttributeError, TypeError):
                function.__annotations__[name] = Any


def enforced(function: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """Return a function that enforces its annotations, a descriptor of such functions, or a dataclass that does."""
    if function is None:
        return functools.partial(enforced, typechecker=typechecker)
    if inspect.isclass(function):
        if dataclasses.is_dataclass(function) and not hasattr(function.__init__, "is_enforced"):
            function.__init__ = enforced(function.__init__, typechecker=typechecker)
        return function
    if isinstance(function, classmethod | staticmethod):
        return type(function)(enforced(function.__func__, typechecker=typechecker))
    if isinstance(function, property):
        parts = (function.fget, function.fset, function.fdel)
        return property(*(part and enforced(part, typechecker=typechecker) for part in parts))
    return scoped(function, typechecker)


def scoped(function: Any, typechecker: Callable[[Any], Any]) -> Any:
    """Return a function that checks its annotations, in a scope of its own if it has shapes.

    The check is made at the first call: most functions are never called in one process, and a check costs a
    millisecond. jaxtyping's switch leaves every call unchecked.
    """
    check, shapes = None, False

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal check, shapes
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        if check is None:
            resolve_names(function)
            shapes = any(has_shape(annotation) for annotation in function.__annotations__.values())
            check = typechecker(function)
        if not shapes:
            return check(*args, **kwargs)
        with scope:
            return check(*args, **kwargs)

    call.is_enforced = True  # type: ignore[attr-defined]
    return call


jaxtyping.jaxtyped = enforced
