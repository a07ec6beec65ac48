"""Argument checks: each names the thing, its bound and the value given."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
SIZE = re.compile(rf"\d+(\.\d+)?({'|'.join(UNITS)})")


class InputError(ValueError):
    """The user's input is wrong: one message per line, each with the name of the thing, its bound and the value."""

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages

    def under(self, prefix: str, unprefixed: Iterable[str] = ()) -> "InputError":
        """Return the error with `prefix.` before each message, which begins with the name of the thing.

        unprefixed: names that stay as they are, such as those of other groups.
        """
        stay = set(unprefixed)
        return InputError(*(m if m.split(" ")[0].split(".")[0] in stay else f"{prefix}.{m}" for m in self.messages))


class Problems:
    """Collects the errors in a user's input, so that all of them are reported at once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    @contextmanager
    def under(self, prefix: str = "", unprefixed: Iterable[str] = ()) -> Iterator[None]:
        """Collect the messages of an InputError that the block raises, as `InputError.under` gives them."""
        try:
            yield
        except InputError as error:
            self.messages += (error.under(prefix, unprefixed) if prefix else error).messages

    def finish(self) -> None:
        """Raise one InputError with all messages, each once, if there are any."""
        if self.messages:
            raise InputError(*dict.fromkeys(self.messages))


def every(*checks: Callable[[], object]) -> None:
    """Make all of these checks; raise one InputError with the messages of all that fail."""
    problems = Problems()
    for check in checks:
        with problems.under():
            check()
    problems.finish()


def number(name: str, value: Any) -> None:
    """Raise InputError unless `value` is a finite int or float."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} must be a number, got {value!r}")


def positive(name: str, value: Any) -> None:
    """Raise InputError unless value > 0."""
    number(name, value)
    if value <= 0:
        raise InputError(f"{name} must be > 0, got {value}")


def non_negative(name: str, value: Any) -> None:
    """Raise InputError unless value ≥ 0."""
    number(name, value)
    if value < 0:
        raise InputError(f"{name} must be >= 0, got {value}")


def count(name: str, value: Any, minimum: int = 1) -> None:
    """Raise InputError unless `value` is a whole number ≥ minimum."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} must be a whole number, got {value!r}")
    if value < minimum:
        raise InputError(f"{name} must be >= {minimum}, got {value}")


def count_or_auto(name: str, value: Any, minimum: int = 1) -> None:
    """Raise InputError unless `value` is auto or a whole number ≥ minimum."""
    if isinstance(value, str) and value != "auto":
        raise InputError(f"{name} must be auto or a whole number, got {value!r}")
    if value != "auto":
        count(name, value, minimum)


def count_or_size(name: str, value: Any) -> None:
    """Raise InputError unless `value` is a whole number ≥ 1 or a size such as 200MB."""
    if not isinstance(value, str):
        count(name, value)
    elif not SIZE.fullmatch(value) or size_in_bytes(value) == 0:
        raise InputError(f"{name} must be a whole number or a size such as 200MB, got {value!r}")


def size_in_bytes(text: str) -> float:
    """Return the number of bytes of a size such as 200MB."""
    number, unit = re.findall(r"([\d.]+)(\w+)", text)[0]
    return float(number) * UNITS[unit]


def fraction(name: str, value: Any) -> None:
    """Raise InputError unless 0 ≤ value ≤ 1."""
    number(name, value)
    if not 0 <= value <= 1:
        raise InputError(f"{name} must be in [0, 1], got {value}")


def half_open(name: str, value: Any) -> None:
    """Raise InputError unless 0 ≤ value < 1."""
    number(name, value)
    if not 0 <= value < 1:
        raise InputError(f"{name} must be in [0, 1), got {value}")


def open_interval(name: str, value: Any) -> None:
    """Raise InputError unless 0 < value < 1."""
    number(name, value)
    if not 0 < value < 1:
        raise InputError(f"{name} must be in (0, 1), got {value}")


def one_of(name: str, value: Any, options: Iterable[str]) -> None:
    """Raise InputError, with the nearest option, unless `value` is one of `options`."""
    options = list(options)
    if value not in options:
        raise InputError(
            f"{name} must be one of {', '.join(options)}, got {value!r}{nearest_hint(str(value), options)}"
        )


def nearest_hint(name: str, options: Iterable[str]) -> str:
    """Return '; did you mean …?' with the option closest to `name`; empty if none is close."""
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
