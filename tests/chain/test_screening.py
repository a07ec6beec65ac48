"""Screening: sound chains are kept, and the faults of all others are named."""

import numpy as np
import pytest

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.screening import MIN_CHAINS, MIN_DRAWS, join_chain_names, screen


def draws(chains: int = 6, length: int = 20) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((chains, length, 2))


def test_sound_chains_pass_unremarked() -> None:
    x = draws()
    found = screen(Chains(x=x))
    assert found.usable is not None and np.array_equal(found.usable.x, x)
    assert not found.warnings and not found.stuck and not found.error


def test_bad_chains_are_named_and_the_sound_ones_kept() -> None:
    x = draws()
    x[1] = x[1, 0]
    x[4, 7, 1] = np.nan
    found = screen(Chains(x=x))
    assert found.usable is not None and found.usable.names == [0, 2, 3, 5]
    assert np.array_equal(found.usable.x, x[[0, 2, 3, 5]])
    assert found.warnings == ["chain 4 not finite, left out", "chain 1 never moved, left out"]
    assert found.stuck == [1] and not found.error


def test_a_chain_whose_energy_alone_is_not_finite_is_left_out() -> None:
    potential = np.zeros((6, 20))
    potential[2, 3] = np.inf
    found = screen(Chains(x=draws(), potential=potential))
    assert found.usable is not None and found.usable.names == [0, 1, 3, 4, 5]


def test_the_fewest_chains_and_draws_are_enough_and_one_less_is_not() -> None:
    assert not screen(Chains(x=draws(MIN_CHAINS, MIN_DRAWS))).error
    few_draws = screen(Chains(x=draws(MIN_CHAINS, MIN_DRAWS - 1)))
    assert few_draws.usable is None and "Increase steps" in few_draws.error
    few_chains = screen(Chains(x=draws(MIN_CHAINS - 1, MIN_DRAWS)))
    assert few_chains.usable is None and "Increase chains" in few_chains.error


def test_a_single_draw_does_not_count_as_standing_still() -> None:
    assert screen(Chains(x=draws(length=1))).stuck == []


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([3], "chain 3"),
        ([3, 5], "chains 3 and 5"),
        ([1, 2, 3, 4], "chains 1, 2, 3 and 4"),
        ([3, 5, 8, *range(10, 50)], "chains 3, 5, 8 and 40 more"),
    ],
)
def test_chains_are_listed_briefly(names: list[int], text: str) -> None:
    assert join_chain_names(names) == text


@pytest.mark.parametrize(
    ("frozen", "text"), [([1], "x[1]"), ([0, 2], "x[0] and x[2]"), (range(6), "x[0], x[1], x[2] and 3 more")]
)
def test_a_coordinate_that_no_chain_ever_moves_is_named(frozen: list[int], text: str) -> None:
    x = np.random.default_rng(0).standard_normal((5, 30, 8))
    x[:, :, list(frozen)] = np.arange(5)[:, None, None]
    found = screen(Chains(x=x))
    assert found.usable is not None and found.warnings == [
        f"{text} never moved in any chain, so its distribution is unknown"
    ]


def test_what_is_missing_in_the_file_is_a_remark_on_every_number() -> None:
    found = screen(Chains(x=draws(), warnings=["9 of 99 draws are missing"]))
    assert found.usable is not None and found.warnings == ["9 of 99 draws are missing"]


def test_chains_that_are_copies_of_each_other_are_named() -> None:
    x = np.random.default_rng(0).normal(size=(4, 100, 2))
    assert screen(Chains(x)).warnings == []
    x[2] = x[0]
    assert "chains 0 and 2 are the same draws" in "; ".join(screen(Chains(x)).warnings)
