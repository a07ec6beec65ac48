"""Argument checks name the thing, the bound and the value, and accept what lies within the bound."""

from collections.abc import Callable
from typing import Any

import pytest

from ebm_cli import check
from ebm_cli.check import InputError


@pytest.mark.parametrize(
    ("test", "good", "bad"),
    [
        (check.number, [0, -1.5], [float("nan"), float("inf"), True, "1", None]),
        (check.positive, [1e-300, 1], [0, -0.1, float("nan")]),
        (check.non_negative, [0, 2.5], [-1e-9, "x"]),
        (check.count, [1, 7], [0, 1.0, True]),
        (check.fraction, [0, 0.5, 1], [-0.1, 1.1]),
        (check.half_open, [0, 0.999], [1, 1.0, -0.1]),
    ],
)
def test_a_bound_holds_on_both_sides(test: Callable[[str, Any], None], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        test("size", value)
    for value in bad:
        with pytest.raises(InputError, match=r"^size must be "):
            test("size", value)


def test_a_message_gives_name_bound_and_value() -> None:
    with pytest.raises(InputError) as caught:
        check.positive("step_size", -0.1)
    assert caught.value.under("sampler").messages == ("sampler.step_size must be > 0, got -0.1",)


def test_a_half_open_bound_is_named_on_both_sides() -> None:
    for value in (-0.1, 1, 1.5):
        with pytest.raises(InputError) as caught:
            check.half_open("decay", value)
        assert caught.value.messages == (f"decay must be in [0, 1), got {value}",)


def test_a_misspelt_option_is_told_the_nearest_one() -> None:
    check.one_of("law", "normal", ["uniform", "normal"])
    with pytest.raises(InputError, match=r"law must be one of uniform, normal, got 'norml'; did you mean 'normal'\?"):
        check.one_of("law", "norml", ["uniform", "normal"])
    assert check.nearest_hint("zzz", ["uniform", "normal"]) == ""


def test_every_check_is_made_and_all_that_they_refuse_is_in_one_error() -> None:
    with pytest.raises(InputError) as wrong:
        check.every(lambda: check.count("a", 0), lambda: check.count("b", 1), lambda: check.positive("c", -1.0))
    assert wrong.value.messages == ("a must be >= 1, got 0", "c must be > 0, got -1.0")
    check.every(lambda: check.count("b", 1))
