"""Settings and budgets of log Z: every bound is named."""

import math
from typing import Any

import pytest

from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.partition.settings import log_z_settings
from ebm_cli.run.terminal import Stopped
from tests.contract import build
from tests.partition.paths import settings


@pytest.mark.parametrize(
    ("name", "least"), [("chains", 16), ("temperatures", 2), ("leapfrog_steps", 1), ("steps", 100)]
)
def test_number_below_its_bound_is_named(name: str, least: int) -> None:
    with pytest.raises(InputError, match=f"{name} must be >= {least}, got {least - 1}"):
        settings(**{name: least - 1})


@pytest.mark.parametrize(("name", "value"), [("method", "ias"), ("base", "flat"), ("kernel", "gibbs")])
def test_unknown_word_is_named(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"^{name} must be one of .* got '{value}'"):
        settings(**{name: value})


@pytest.mark.parametrize("box", [[1.0], [1.0, -1.0], [0.0, 0.0], [0.0, math.inf]])
def test_wrong_box_is_named(box: Any) -> None:
    with pytest.raises(InputError, match=r"^box must "):
        settings(box=box)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(InputError) as wrong:
        settings(method="ias", box=[1.0], chains=3, temperatures=1, steps=10)
    assert [message.split(" ")[0] for message in wrong.value.messages] == [
        "method", "chains", "temperatures", "steps", "box",
    ]  # fmt: skip


def test_log_z_settings_of_equal_metrics_are_equal() -> None:
    assert log_z_settings(build("metric", "log_z")) == log_z_settings(build("metric", "log_z"))
    assert type(log_z_settings(build("metric", "log_z"))).__name__ == "LogZSettings"


@pytest.mark.parametrize(
    ("budget", "target", "name"), [(0, None, "budget"), (None, 0.0, "target"), (5, -1.0, "target")]
)
def test_budget_below_its_bound_is_named(budget: int | None, target: float | None, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name} must be "):
        Budget(budget, target)


def test_budget_counts_reports_and_stops() -> None:
    told: list[int] = []
    budget = Budget(100, None, told.append, lambda: len(told) > 2)
    budget.charge(30)
    budget.charge(90)
    assert (budget.used, budget.remaining, told) == (120, 0, [30, 120]) and Budget().remaining == math.inf
    with pytest.raises(Stopped, match="stopped after 121 gradients"):
        budget.charge(1)
