"""Rows of replica exchange: Λ and the rate of round trips have their closed forms, and rare swaps are a caution."""

import numpy as np
import pytest
import torch

from ebm_cli.chain.chains import Chains
from ebm_cli.mixing.convergence import Evidence
from ebm_cli.mixing.replica_metrics import barrier_figure, min_swap_rate, replica_metrics, theoretical_rate
from ebm_cli.mixing.verdict import check_round_trips
from ebm_cli.sampler._replicas import Replicas
from tests.contract import build


def replicas(trips: list[int]) -> Replicas:
    """Return three replicas of two chains that tried ten swaps per pair."""
    energy = build("energy", "quadratic", event=(2,))
    state = build("sampler", "tempering", {"temperatures": [1.0, 2.0, 4.0]}).init(
        energy, torch.zeros(2, 2), torch.Generator()
    )
    swapped = torch.tensor([[5.0, 7.0], [8.0, 8.0]])
    return state._replace(swapped=swapped, tried=torch.tensor([10.0, 10.0]), round_trips=torch.tensor(trips))


def test_rows_have_the_sums_and_rates_of_the_counts() -> None:
    rows = replica_metrics(replicas([6, 0]), steps=100, gradients_per_step=3.0)
    # Rejection rates 0.5 and 0.3 of the first pair, 0.2 and 0.2 of the second.
    assert rows["barrier"].value == pytest.approx(0.6)
    assert rows["barrier"].se == pytest.approx(0.1)
    assert rows["swap_rate_min"].value == pytest.approx(0.6)
    assert rows["round_trips"].value == 6 and rows["chains_without_round_trip"].value == 0.5
    assert "3 per chain" in str(rows["round_trips"].meaning)
    assert rows["round_trip_rate"].value == pytest.approx(1000 * 3 / 300)


def test_theoretical_rate_of_a_path_without_rejections_is_one_in_two_steps() -> None:
    assert theoretical_rate(np.zeros(5)) == 0.5
    assert theoretical_rate(np.array([0.5, 0.5])) == pytest.approx(1 / 6)


def test_neighbors_that_rarely_swap_are_a_caution() -> None:
    estimate = min_swap_rate(np.array([0.5, 0.05]))
    assert estimate.verdict == "caution" and "replicas 1 and 2 swap rarely" in estimate.reason


def test_the_caption_names_the_barrier() -> None:
    assert "Λ = 0.6 in all" in barrier_figure(replicas([1, 1]))[1]


def judged(x: np.ndarray, trips: list[int]) -> Evidence:
    found = Evidence()
    check_round_trips(Chains(x, round_trips=np.array(trips)), found)
    return found


def test_chains_without_any_round_trip_are_not_mixed() -> None:
    x = np.random.default_rng(0).normal(size=(4, 100, 2))
    assert "no state came from the far end" in judged(x, [0, 0, 0, 0]).against[0]
    assert judged(x, [1, 0, 0, 0]).against == [] == judged(x, [1, 1, 1, 1]).inconclusive


def test_a_mode_that_only_chains_without_a_round_trip_visit_is_inconclusive() -> None:
    x = np.random.default_rng(0).normal(size=(8, 100, 2))
    assert judged(x, [2, 2, 2, 2, 2, 2, 2, 0]).inconclusive == []
    x[7] += 20
    assert "1 chains, which no state" in judged(x, [2, 2, 2, 2, 2, 2, 2, 0]).inconclusive[0]
