"""Recipes and what may be spent on them: every bound is named."""

import math
from typing import Any

import pytest

from ebm_cli.check import InputError
from ebm_cli.partition.recipe import plain
from ebm_cli.partition.spending import Spending
from ebm_cli.run.terminal import Stopped
from tests.contract import build
from tests.partition.ways import recipe


@pytest.mark.parametrize(
    ("name", "least"), [("chains", 16), ("temperatures", 2), ("leapfrog_steps", 1), ("steps", 100)]
)
def test_a_number_below_its_bound_is_named(name: str, least: int) -> None:
    with pytest.raises(InputError, match=f"{name} must be >= {least}, got {least - 1}"):
        recipe(**{name: least - 1})


@pytest.mark.parametrize(("name", "value"), [("method", "ias"), ("base", "flat"), ("kernel", "gibbs")])
def test_a_word_that_is_none_of_them_is_named(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"^{name} must be one of .* got '{value}'"):
        recipe(**{name: value})


@pytest.mark.parametrize("box", [[1.0], [1.0, -1.0], [0.0, 0.0], [0.0, math.inf]])
def test_a_box_that_is_none_is_named(box: Any) -> None:
    with pytest.raises(InputError, match=r"^box must "):
        recipe(box=box)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(InputError) as wrong:
        recipe(method="ias", box=[1.0], chains=3, temperatures=1, steps=10)
    assert [message.split(" ")[0] for message in wrong.value.messages] == [
        "method", "box", "chains", "temperatures", "steps",
    ]  # fmt: skip


def test_a_metrics_recipe_is_equal_to_any_other_of_the_same_fields() -> None:
    assert plain(build("metric", "log_z")) == plain(build("metric", "log_z"))
    assert type(plain(build("metric", "log_z"))).__name__ == "Recipe"


@pytest.mark.parametrize(
    ("budget", "target", "name"), [(0, None, "budget"), (None, 0.0, "target"), (5, -1.0, "target")]
)
def test_what_may_be_spent_is_more_than_nothing(budget: int | None, target: float | None, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name} must be "):
        Spending(budget, target)


def test_spending_counts_tells_and_stops() -> None:
    told: list[int] = []
    spending = Spending(100, None, told.append, lambda: len(told) > 2)
    spending.spend(30)
    spending.spend(90)
    assert (spending.spent, spending.left, told) == (120, 0, [30, 120]) and Spending(None, None).left == math.inf
    with pytest.raises(Stopped, match="stopped after 121 gradients"):
        spending.spend(1)
