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
import numpy as np
import torch
from beartype import BeartypeConf, beartype

# An int stands for a float, as in PEP 484 and as users write them.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
scope = jaxtyping.jaxtyped("context")
# A chain calls the same functions thousands of times in the same way. In each test, these first calls of a function are
# checked, and after them one in so many.
FIRST_CALLS, ONE_IN = 32, 32


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


class Calls:
    """The number of calls of one function in the present test."""

    test = 0

    def __init__(self) -> None:
        self.counted_in, self.count = Calls.test, 0

    def is_next_checked(self) -> bool:
        """Count a call, and return whether it is one of those that are checked."""
        if self.counted_in != Calls.test:
            self.counted_in, self.count = Calls.test, 0
        self.count += 1
        return self.count <= FIRST_CALLS or self.count % ONE_IN == 0


class Varies(Exception):
    """What is checked of a value is more than its form: it is a list, a dict or a set."""


def form(value: Any) -> Any:
    """Return all of a value that annotations of ebm_cli depend on: type, shape and number type, or a word itself."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return type(value), value.shape, value.dtype
    if isinstance(value, str | type):
        return value
    if type(value) is tuple:
        return tuple(map(form, value))
    if isinstance(value, list | dict | set | frozenset):
        raise Varies
    return type(value)


def form_of_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the form of a call; None if it has to be checked each time."""
    try:
        return tuple(map(form, args)), tuple((name, form(value)) for name, value in kwargs.items())
    except Varies:
        return None


def form_of_result(called: Any, result: Any) -> Any:
    """Return the form of a call with that of its result; None if it has to be checked each time."""
    try:
        return called, form(result)
    except Varies:
        return None


def scoped(function: Any, typechecker: Callable[[Any], Any]) -> Any:
    """Return a function that checks its annotations, in a scope of its own if it has shapes.

    The check is made at the first call: most functions are never called in one process, and a check costs a
    millisecond. Where there are shapes, a call of a form that was found right is not checked again: a check of shapes
    costs as much as a step of a chain. jaxtyping's switch leaves every call unchecked.
    """
    check: Any = None
    check_result: Any = None
    shapes, seen, results, calls = False, set(), [], Calls()

    @functools.wraps(function)
    def given(*args: Any, **kwargs: Any) -> Any:
        return results.pop()

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal check, check_result, shapes
        if not calls.is_next_checked() or jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        if check is None:
            resolve_names(function)
            shapes = any(has_shape(annotation) for annotation in function.__annotations__.values())
            check = typechecker(function)
        if not shapes:
            return check(*args, **kwargs)
        called = form_of_call(args, kwargs)
        if called not in seen:
            with scope:
                result = check(*args, **kwargs)
            if called is not None:
                seen.add(called)
            return result
        result = function(*args, **kwargs)
        ended = form_of_result(called, result)
        if ended is None or ended not in seen:
            check_result = check_result or typechecker(given)
            results.append(result)
            with scope:
                check_result(*args, **kwargs)
            if ended is not None:
                seen.add(ended)
        return result

    call.is_enforced = True  # type: ignore[attr-defined]
    return call


jaxtyping.jaxtyped = enforced
