"""Every key of conf refuses what the bound in its comment excludes, in one line with its name and the value."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jaxtyping
import pytest
import yaml

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.cli.keys import Key, keys_of
from tests.contract import CONF, GROUPS, build, energies, options

NUMBER = r"-?\d+(?:\.\d+)?"
ABOVE = re.compile(rf"\((?:odd, )?(>|≥) ({NUMBER})\)")
INSIDE = re.compile(rf"\(in ([\[(])({NUMBER}), (?:({NUMBER})|\w+)([\])])\)")
NOT_ZERO = "(any number except 0)"
WHOLE = re.compile(r"(largest |maximum )?number of|training step")
LIST = re.compile(r"^(a |rising )?list|of each (run|component)|^temperatures T")
# What a comment gives in words, or what depends on the data.
IN_WORDS = [
    ("data", "pinwheel", "rate", math.inf),
    ("data", "images", "size", 0),
    ("data", "images", "size", [8, 8, 8]),
    ("data", "images", "channels", 2),
    ("energy", "mlp", "base_components", 30_000),
    ("objective", "exact", "grid_points", 64),
]
VERBS = {"train": [], "sample": ["energy=double_well"], "evaluate": ["energy=double_well", "metric=[log_z]"]}


def is_whole(key: Key) -> bool:
    """Return whether a value must be a whole number."""
    return type(yaml.safe_load(key.default)) is int or (
        not key.default[0].isdigit() and WHOLE.match(key.comment) is not None
    )


def wrong_numbers(key: Key) -> list[float]:
    """Return numbers that lie just outside of the bound in a key's comment, and one that lies far outside."""
    kind, step = (int, 1) if is_whole(key) else (float, 1e-3)
    if match := ABOVE.search(key.comment):
        bound = kind(float(match[2]))
        return [bound - 10, bound - step, *([bound] if match[1] == ">" else [])]
    if match := INSIDE.search(key.comment):
        opening, low, high, closing = match.groups()
        wrong = [kind(float(low)) - (step if opening == "[" else 0)]
        return wrong if high is None else [*wrong, kind(float(high)) + (step if closing == "]" else 0)]
    if key.name == "seed":
        return [-1]
    return [0.0] if NOT_ZERO in key.comment else []


def wrong_values(key: Key) -> list[Any]:
    """Return values that a key's comment excludes: out of bounds, of another type, unknown words."""
    default = yaml.safe_load(key.default)
    if key.alternatives:
        return [["no_such"]] if isinstance(default, list) else ["no_such"]
    numbers: list[Any] = [*wrong_numbers(key)]
    if not numbers:
        return []
    numbers += [math.nan, math.inf, True, "many", *([1.5] if is_whole(key) else [])]
    if isinstance(default, list) or LIST.search(key.comment):
        return [[default[0] if isinstance(default, list) else 1.0, number] for number in numbers]
    return numbers


@contextmanager
def unchecked() -> Iterator[None]:
    """Leave annotations unchecked inside the block, as they are for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def offered() -> dict[str, Any]:
    """Return what constructors ask for in addition to their keys."""
    data, sampler = build("data", "gaussians_8", {"n": 500}), build("sampler", "sgld")
    start, energy = build("start", "noise", event=(2,)), build("energy", "mlp", {"noise_level": 0.1}, event=(2,))
    return {"data": data, "sampler": sampler, "start": start, "energy": energy, "engine": "eager", "event": (2,)}


def fault(group: str, name: str, key: str, value: Any, given: dict[str, Any], shown: Any) -> str | None:
    """Return what is wrong with how an option refuses a value of a key; None if nothing is.

    shown: what its message must show of the value.
    """
    asked = f"{group}={name} {key}={value!r}"
    try:
        build(group, name, {key: value}, **given)
    except InputError as error:
        (first, *more) = error.messages
        said = {str(shown), f"{shown:g}"} if isinstance(shown, float) else {str(shown)}
        is_named = re.match(rf"{key} must (not )?be ", first) and any(text in first for text in said)
        return None if is_named and not more and "\n" not in first else f"{asked}: {error}"
    except Exception as error:
        return f"{asked}: {type(error).__name__}: {error}"
    return f"{asked} is accepted"


@pytest.mark.parametrize("group", GROUPS)
def test_value_outside_of_the_bound_in_its_comment_is_named(group: str) -> None:
    given, faults = offered(), []
    with unchecked():
        for name in options(group):
            taken = [event for energy, event in energies() if group == "energy" and energy == name]
            shape = {"event": taken[0]} if taken else {}
            for key in keys_of(CONF / group / f"{name}.yaml"):
                for value in wrong_values(key):
                    shown = value[-1] if isinstance(value, list) else value
                    faults.append(fault(group, name, key.name, value, given | shape, shown))
    assert [each for each in faults if each] == []
    assert len(faults) > (10 if group == "path" else 30)


def test_value_that_a_comment_excludes_in_words_is_named() -> None:
    given = offered()
    with unchecked():
        faults = [fault(group, name, key, value, given, str(value)) for group, name, key, value in IN_WORDS]
    assert [each for each in faults if each] == []


def test_objectives_refuse_temperature_zero() -> None:
    given, faults = offered() | {"sampler": build("sampler", "sgld", {"temperature": 0.0})}, []
    for name in options("objective"):
        try:
            build("objective", name, **given)
            faults.append(f"{name} takes it")
        except InputError as error:
            if "temperature must be > 0" not in str(error):
                faults.append(f"{name}: {error}")
    assert faults == []


@pytest.mark.parametrize("verb", VERBS)
def test_all_numbers_of_a_verb_that_are_out_of_bounds_are_named_at_once(verb: str, capsys) -> None:
    wrong = {key.name: wrong_numbers(key)[0] for key in keys_of(CONF / f"{verb}.yaml") if wrong_numbers(key)}
    with unchecked():
        assert main([verb, *VERBS[verb], *(f"{key}={value}" for key, value in wrong.items())]) == 2
    lines = capsys.readouterr().err.splitlines()
    named = [re.match(r"error: (\S+) must be .*, got (\S+)$", line) for line in lines]
    assert {match[1]: float(match[2]) for match in named if match} == wrong and None not in named
    assert len(wrong) > 5
