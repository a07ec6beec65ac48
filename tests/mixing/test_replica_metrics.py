"""Rows of replica exchange: Λ and the rate of round trips have their closed forms, and rare swaps are a caution."""

import numpy as np
import pytest
import torch

from ebm_cli.chain.chains import Chains
from ebm_cli.mixing.convergence import Evidence
from ebm_cli.mixing.replica_metrics import (
    barrier_figure,
    enough_replicas,
    mean_crossing_steps,
    mean_rejection,
    min_swap_rate,
    replica_metrics,
    theoretical_rate,
)
from ebm_cli.mixing.verdict import check_round_trips
from ebm_cli.path._swap import swap_partners, swap_replicas
from ebm_cli.sampler._replicas import FAR_END, Replicas, visited_ends
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


def test_states_cross_an_ideal_path_in_the_time_of_theory(rng: torch.Generator) -> None:
    # Neighbors of five replicas swap with probability 0.6, whatever their states are.
    K, n, steps, rate = 5, 100, 3000, 0.6
    partners = [swap_partners(K, odd, torch.device("cpu")) for odd in (False, True)]
    last_end, since = torch.zeros(K * n, dtype=torch.long), torch.zeros(K * n)
    times = []
    for step in range(steps):
        swap = swap_replicas(torch.full((K, n), np.log(rate)), torch.rand(K, n, generator=rng), partners[step % 2])
        since, before = swap.apply(since), swap.apply(last_end)
        since[-n:] = torch.where(before[-n:] == FAR_END, since[-n:], float(step))
        last_end, arrived = visited_ends(swap, last_end, n)
        times.append(step - since[:n][arrived])
    found = torch.cat(times)
    ideal = replicas([0, 0])._replace(
        betas=torch.ones(K), swapped=torch.full((K - 1, 2), 10 * rate), tried=torch.full((K - 1,), 10.0)
    )
    theory = theoretical_rate(np.full(K - 1, 1 - rate))
    assert len(found) / (n * steps) == pytest.approx(theory, rel=0.02)
    rejection = mean_rejection(ideal)
    assert rejection is not None
    crossing = mean_crossing_steps(rejection)
    assert crossing is not None and abs(float(found.mean()) - crossing) < 4 * float(found.std()) / len(found) ** 0.5


def test_neighbors_that_rarely_swap_are_a_caution() -> None:
    estimate = min_swap_rate(np.array([0.5, 0.05]))
    assert estimate.verdict == "caution" and "replicas 1 and 2 swap rarely" in estimate.reason


def test_the_caption_names_the_barrier() -> None:
    assert "Λ = 0.6 in all" in barrier_figure(replicas([1, 1]))[1]


def test_too_few_replicas_are_twice_the_barrier_and_enough_have_no_number() -> None:
    # Λ = 2.9 of four replicas asks for six; Λ = 1.1 is no more than they have.
    assert enough_replicas(np.array([1.0, 1.0, 0.9])) == 6 and enough_replicas(np.array([0.1, 0.9, 0.1])) is None
    assert "Use at least 6 replicas (path.replicas" in min_swap_rate(np.array([0.0, 0.0, 0.1])).reason
    assert "Use more replicas (path.replicas" in min_swap_rate(np.array([0.9, 0.05, 0.9])).reason


def judged(x: np.ndarray, trips: list[int], crossing: float | None = None, enough: int | None = None) -> Evidence:
    found = Evidence()
    chains = Chains(x, round_trips=np.array(trips), crossing_steps=crossing, enough_replicas=enough)
    check_round_trips(chains, found)
    return found


@pytest.mark.parametrize(
    ("crossing", "remedy"),
    [(None, "Increase steps, or use more replicas"), (780.0, "Type steps=1600"), (np.inf, "Use more replicas")],
)
def test_without_round_trips_the_remedy_follows_from_the_time_of_a_crossing(
    crossing: float | None, remedy: str
) -> None:
    x = np.random.default_rng(0).normal(size=(4, 100, 2))
    assert judged(x, [0, 0, 0, 0], crossing).against[0].endswith(remedy)
    chains = Chains(x, round_trips=np.zeros(4, int), crossing_steps=crossing)
    assert chains.factor_for_round_trips() == (15.6 if crossing == 780 else 1.0)


def test_replicas_that_hardly_swap_have_a_number_that_swaps() -> None:
    x = np.random.default_rng(0).normal(size=(4, 100, 2))
    assert judged(x, [0, 0, 0, 0], np.inf, 14).against[0].endswith("Use at least 14 replicas")


@pytest.mark.parametrize(
    ("path", "space", "remedy"),
    [
        ("hot", "continuous", "more path.replicas, or a higher path.hottest"),
        ("base", "continuous", "path=hot with more path.replicas, or a wider path.base"),
        ("rates", "binary", "path=hot with more path.replicas, or more values of path.betas"),
    ],
)
def test_what_crosses_barriers_does_not_name_the_present_path(path: str, space: str, remedy: str) -> None:
    chains = Chains(np.zeros((2, 3, 1)), round_trips=np.ones(2, int), path=path, space=space)
    assert chains.across_barriers() == remedy


def test_chains_without_any_round_trip_are_not_mixed() -> None:
    x = np.random.default_rng(0).normal(size=(4, 100, 2))
    assert "no state came from the far end" in judged(x, [0, 0, 0, 0]).against[0]
    assert judged(x, [1, 0, 0, 0]).against == [] == judged(x, [1, 1, 1, 1]).inconclusive


def test_a_mode_that_only_chains_without_a_round_trip_visit_is_inconclusive() -> None:
    x = np.random.default_rng(0).normal(size=(8, 100, 2))
    assert judged(x, [2, 2, 2, 2, 2, 2, 2, 0]).inconclusive == []
    x[7] += 20
    assert "1 chains, which no state" in judged(x, [2, 2, 2, 2, 2, 2, 2, 0]).inconclusive[0]
