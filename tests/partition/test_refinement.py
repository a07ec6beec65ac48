"""Refinement: the target is met, the budget is kept, signals stop it, and a small budget is refused by its size."""

import math
import re
from functools import cache
from typing import Any

import pytest
import torch

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.estimate import Estimate
from ebm_cli.partition.bracket import BracketResult
from ebm_cli.partition.refinement import estimate_log_z
from ebm_cli.partition.round_size import TARGET_FRACTION, growth_needed
from ebm_cli.run.terminal import Stopped
from tests.contract import build
from tests.partition.paths import Counted, path_to, settings

QUICK = {"chains": 16, "temperatures": 8, "steps": 100}


@cache
def single_round() -> tuple[Estimate, float, Budget, tuple[int, ...]]:
    """Return log Z by one round, its true value, the budget, and the numbers of gradients that were reported."""
    reported: list[int] = []
    budget = Budget(progress=reported.append)
    found, truth, _ = spend(budget)
    return found, truth, budget, tuple(reported)


def spend(budget: Budget, wider: float = 1.3, **changes: Any) -> tuple[Estimate, float, Counted]:
    """Return log Z of a Gaussian in six dimensions, its true value, and the counted energy."""
    energy = build("energy", "quadratic", event=(6,))
    counted = Counted(energy)
    path = path_to(counted, 1.0, wider * energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    path = CountedPath(path.space, path.base, budget)
    return estimate_log_z(path, settings(**QUICK | changes), 0), energy.log_z(1.0), counted


def test_rounds_meet_the_target_with_a_value_within_its_errors_of_the_truth() -> None:
    single, truth, _, _ = single_round()
    target = 0.5 * (single.upper - single.lower)
    found, _, _ = spend(Budget(None, target))
    assert found.upper - found.lower <= target and found.verdict == "ok"
    assert found.lower < found.value < found.upper and abs(found.value - truth) < 4 * found.se


@pytest.mark.parametrize("method", ["bridge", pytest.param("smc", marks=pytest.mark.slow), "ti"])
def test_budget_is_kept_and_a_missed_target_is_cautioned(method: str) -> None:
    budget = Budget(40_000, 1e-4)
    found, _, counted = spend(budget, method=method)
    # A round's cost is an estimate: descents end when they end.
    assert budget.used <= 1.15 * 40_000
    assert found.verdict == "caution" and "reached target=0.0001" in found.reason
    # Integration is narrowed by more replicas, of which the number of gradients is not known.
    assert bool(re.search(r"increase budget, to about [\d,]{7,}", found.reason)) == (method != "ti")
    assert budget.used == counted.states


def test_small_budget_is_refused_and_names_a_sufficient_one() -> None:
    found, _, _ = spend(Budget(2_000, None))
    assert found.verdict == "refused" and "budget=2,000 is too small" in found.reason
    beyond = int(re.findall(r"above ([\d,]+)", found.reason)[0].replace(",", ""))
    again, _, _ = spend(Budget(int(1.05 * beyond), None))
    assert again.verdict != "refused" or "too small" not in again.reason


def test_pilot_obeys_the_budget_and_names_it() -> None:
    # Without a bound the search takes 74,240 evaluations.
    budget = Budget(20_000, None)
    found, _, counted = spend(budget, chains=512, wider=10.0)
    assert found.verdict == "refused" and "budget=20,000 is too small: it was used before annealing" in found.reason
    assert budget.used == counted.states <= 20_000 + 2 * 512 * 8 + 512


def test_budget_of_few_chain_steps_gives_a_wide_bracket_that_holds_the_truth() -> None:
    max_gradients = 33_000
    budget = Budget(max_gradients)
    found, truth, _ = spend(budget, temperatures=200, steps=300)
    assert found.verdict != "refused" and found.lower < truth < found.upper
    assert budget.used <= 1.15 * max_gradients


def test_stop_keeps_the_value_of_a_finished_round_and_raises_before() -> None:
    one, _, first, _ = single_round()
    budget = Budget(None, 1e-3)
    budget.stop = lambda: budget.used > first.used
    found, _, _ = spend(budget)
    assert found.value == pytest.approx(one.value) and found.verdict == "caution" and "stopped after" in found.reason
    with pytest.raises(Stopped):
        spend(Budget(stop=lambda: True))


def test_used_gradients_are_reported_and_in_the_reason() -> None:
    found, _, budget, reported = single_round()
    assert list(reported) == sorted(reported) and reported[-1] == budget.used
    assert f"{budget.used:,} gradients" in found.reason


def test_result_is_a_function_of_the_seed() -> None:
    first = single_round()[0]
    torch.manual_seed(2)
    assert spend(Budget())[0] == first


def test_growth_needed_reduces_gap_and_errors_to_the_target() -> None:
    """The gap falls as 1/f, the errors as 1/√f: gap/f + errors/√f is the aim."""
    for gap, width in ((2.0, 3.0), (0.1, 2.0), (5.0, 5.0)):
        found = BracketResult(Estimate(0.0, lower=0.0, upper=width), gap)
        f = growth_needed(found, 0.5)
        assert gap / f + (width - gap) / math.sqrt(f) == pytest.approx(TARGET_FRACTION * 0.5)
