"""Rounds: the target is met, the budget kept, a stop heard, and what cannot be done refused with what would do."""

import math
import re
from typing import Any

import pytest
import torch

from ebm_cli.estimate import Estimate
from ebm_cli.partition.bracket import Bracketed
from ebm_cli.partition.path import Way
from ebm_cli.partition.rounds import AIM, closed, needed
from ebm_cli.partition.spending import Spending
from ebm_cli.run.terminal import Stopped
from tests.contract import build
from tests.partition.ways import Counted, recipe, way_to

QUICK = {"chains": 16, "temperatures": 8, "steps": 100}


def spend(spending: Spending, wider: float = 1.3, **changes: Any) -> tuple[Estimate, float, Counted]:
    """log Z of a Gaussian in six dimensions, the truth, and how often the model was evaluated."""
    energy = build("energy", "quadratic", event=(6,))
    counted = Counted(energy)
    way = way_to(counted, 1.0, wider * energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    way = Way(way.space, way.base, spending)
    return closed(way, recipe(**QUICK | changes), 0), energy.log_z(1.0), counted


def test_a_target_is_met_by_rounds_and_the_bracket_holds_the_truth() -> None:
    single, truth, _ = spend(Spending(None, None))
    target = 0.5 * (single.upper - single.lower)
    found, _, _ = spend(Spending(None, target))
    assert found.upper - found.lower <= target and found.verdict == "ok"
    assert found.lower < found.value < found.upper and found.lower < truth < found.upper


@pytest.mark.parametrize("method", ["bridge", pytest.param("smc", marks=pytest.mark.slow), "ti"])
def test_a_budget_is_kept_and_missing_the_target_is_said(method: str) -> None:
    spending = Spending(40_000, 1e-4)
    found, _, counted = spend(spending, method=method)
    # A round's cost is an estimate: descents end when they end.
    assert spending.spent <= 1.15 * 40_000
    assert found.verdict == "caution" and "budget is spent before target=0.0001" in found.reason
    assert spending.spent == counted.states


def test_a_budget_that_is_too_small_is_refused_with_one_that_is_not() -> None:
    found, _, _ = spend(Spending(2_000, None))
    assert found.verdict == "refused" and "budget=2,000 is too small" in found.reason
    beyond = int(re.findall(r"beyond ([\d,]+)", found.reason)[0].replace(",", ""))
    again, _, _ = spend(Spending(int(1.05 * beyond), None))
    assert again.verdict != "refused" or "too small" not in again.reason


def test_the_search_for_a_path_obeys_the_budget_and_says_so() -> None:
    # Without a bound the search takes 74,240 evaluations.
    spending = Spending(20_000, None)
    found, _, counted = spend(spending, chains=512, wider=10.0)
    assert found.verdict == "refused" and "budget=20,000 is too small: it is spent before a path" in found.reason
    assert spending.spent == counted.states <= 20_000 + 2 * 512 * 8 + 512


@pytest.mark.parametrize("budget", [33_000, 60_000])
def test_a_budget_of_few_chain_steps_gives_a_wide_bracket_that_holds_the_truth(budget: int) -> None:
    spending = Spending(budget, None)
    found, truth, _ = spend(spending, temperatures=200, steps=300)
    assert found.verdict != "refused" and found.lower < truth < found.upper
    assert spending.spent <= 1.15 * budget


def test_a_stop_after_the_first_round_leaves_its_value_and_one_before_leaves_none() -> None:
    first = Spending(None, None)
    one, _, _ = spend(first)
    spending = Spending(None, 1e-3)
    spending.stop = lambda: spending.spent > first.spent
    found, _, _ = spend(spending)
    assert found.value == pytest.approx(one.value) and found.verdict == "caution" and "stopped after" in found.reason
    with pytest.raises(Stopped):
        spend(Spending(None, None, stop=lambda: True))


def test_what_is_spent_is_told_and_stands_in_the_reason() -> None:
    told: list[int] = []
    spending = Spending(None, None, told.append)
    found, _, _ = spend(spending)
    assert told == sorted(told) and told[-1] == spending.spent and f"{spending.spent:,} gradients" in found.reason


def test_the_result_is_a_function_of_the_seed() -> None:
    torch.manual_seed(1)
    first = spend(Spending(None, None))[0]
    torch.manual_seed(2)
    assert spend(Spending(None, None))[0] == first


def test_temperatures_grow_by_what_gap_and_errors_ask() -> None:
    """The gap falls as 1/f, the errors as 1/√f: gap/f + errors/√f is what is aimed at."""
    for gap, width in ((2.0, 3.0), (0.1, 2.0), (5.0, 5.0)):
        found = Bracketed(Estimate(0.0, lower=0.0, upper=width), gap)
        f = needed(found, 0.5)
        assert gap / f + (width - gap) / math.sqrt(f) == pytest.approx(AIM * 0.5)
