"""Superchains: nested R̂ has its closed form, detects memory of the start, and replaces only the length of chains."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ebm_cli.chain import chain_file
from ebm_cli.chain.chains import Chains
from ebm_cli.chain.superchains import nested_bound, nested_r_hat, nested_r_hats, number_starts, superchains
from ebm_cli.cli import main
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate
from ebm_cli.mixing.verdict import assess_mixing
from tests.contract import build
from tests.diagnostic.ar1 import ar1
from tests.mixing.test_mixing_cases import At, kernel, two_modes, well

K, M = 16, 16
STARTS = np.repeat(np.arange(K), M)
GROUPS = np.arange(K * M).reshape(K, M)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def context(x: np.ndarray, starts: np.ndarray | None = STARTS, **known) -> ChainContext:
    """Chains of a well in the plane that started eight times as wide as it."""
    known = {"energy": well(), "temperature": 1.0, "start": At((0.0, 0.0), 8.0 * float(x.std())), **known}
    return ChainContext(Chains(x=x, starts=starts), sampler=kernel("mala", 0.5), **known)


def mixing(known: ChainContext) -> Estimate:
    return assess_mixing(known, seed=0).estimate


@pytest.mark.parametrize(("of_start", "of_chain"), [(0.5, 0.0), (0.3, 1.0), (1.0, 2.0)])
def test_nested_r_hat_of_gaussian_chains_is_its_closed_form(of_start: float, of_chain: float) -> None:
    count, size, draws = 400, 8, 20
    x = normal(0, count, size, draws) + of_chain * normal(1, count, size, 1) + of_start * normal(2, count, 1, 1)
    found = nested_r_hat(x.reshape(-1, draws), np.arange(count * size).reshape(count, size))
    between = of_start**2 + of_chain**2 / size + 1 / (size * draws)
    # Half-chains of one chain have its mean, and the mean of ten draws of variance 1.
    within = 1 + 2 / draws + of_chain**2 * (2 * size - 2) / (2 * size - 1)
    assert abs((found**2 - 1) * within / between - 1) < 4 * np.sqrt(2 / (count - 1))


def test_superchains_have_equal_sizes_and_as_many_chains_as_possible() -> None:
    starts = np.array([0] * 9 + [1] * 8 + [2] * 8 + [3] * 8 + [4] + [5])
    found = superchains(starts)
    assert found is not None and found.shape == (4, 8) and (starts[found] == np.arange(4)[:, None]).all()


@pytest.mark.parametrize("starts", [np.arange(64), np.zeros(64, int), np.arange(64) % 3, np.arange(28) % 4])
def test_distinct_starts_few_starts_and_few_chains_have_no_nested_r_hat(starts: np.ndarray) -> None:
    assert superchains(starts) is None


def test_equal_initial_states_have_one_number() -> None:
    x = torch.randn(8, 2, 2)
    assert (number_starts(x[torch.arange(24) % 8]) == np.tile(number_starts(x), 3)).all()
    assert len(set(number_starts(x))) == 8


def test_mixed_superchains_are_above_their_bound_in_one_of_a_thousand_cases() -> None:
    seeds = 400
    ratios = []
    for seed in range(seeds):
        x = ar1(0.9, K * M, 10, seed)
        ratios.append(nested_r_hat(x, GROUPS) / nested_bound(x, GROUPS, functions=1))
    # A level of 1e-3 for the maximum of scores and folded scores.
    assert (np.array(ratios) > 1).sum() <= 4


def test_chains_that_remember_where_they_started_are_above_it() -> None:
    for seed in range(20):
        x = ar1(0.9, K * M, 10, seed) + np.repeat(normal(seed + 100, K, 1), M, axis=0)
        assert nested_r_hat(x, GROUPS) > nested_bound(x, GROUPS, functions=1)


@pytest.mark.parametrize(("rho", "draws"), [(0.0, 10), (0.5, 40)], ids=["independent", "R̂ above 1.01"])
def test_short_chains_of_superchains_that_agree_are_mixed(rho: float, draws: int) -> None:
    for seed in range(5):
        x = np.stack([ar1(rho, K * M, draws, 2 * seed + i) for i in range(2)], axis=2)
        known = context(x)
        found = mixing(known)
        assert max(known.r_hat().values()) > 1.05 or not rho
        assert found.verdict == "ok" and "16 groups of 16 chains" in found.reason
        alone = mixing(context(x, starts=None))
        assert alone.verdict == "caution" and "too short" in alone.reason


def test_superchains_of_unknown_origin_do_not_replace_long_chains() -> None:
    chains = Chains(x=normal(0, K * M, 10, 2), starts=STARTS)
    assert mixing(ChainContext(chains)).verdict == "caution"


def in_modes(starts: np.ndarray, side: np.ndarray, draws: int) -> ChainContext:
    """Chains that stay in one of two modes."""
    x = normal(0, len(starts), draws, 2)
    x[:, :, 0] += np.where(side, 5.0, -5.0)[:, None]
    return context(x, starts, energy=two_modes())


@pytest.mark.parametrize("draws", [10, 100])
def test_superchains_stuck_in_different_modes_are_refused(draws: int) -> None:
    known = in_modes(STARTS, STARTS % 2 == 0, draws)
    row = build("diagnostic", "r_hat")(known).estimates["r_hat_nested"]
    assert row.verdict == "caution" and row.value > 1.5 and "depend on where they started" in row.reason
    assert "not mixed: chains depend on their initial states" in mixing(known).reason


@pytest.mark.parametrize("draws", [10, 100])
def test_superchains_that_agree_do_not_excuse_chains_that_stay_in_their_modes(draws: int) -> None:
    starts = np.arange(640) // 40
    known = in_modes(starts, np.arange(640) % 2 == 0, draws)
    assert known.nested_r_hat is not None and known.nested_r_hat.agree
    found = mixing(known)
    assert found.verdict == "refused" and "the chains disagree" in found.reason


def test_superchains_that_agree_do_not_excuse_missing_round_trips() -> None:
    chains = Chains(x=normal(0, K * M, 10, 2), starts=STARTS, round_trips=np.zeros(K * M, int))
    found = mixing(ChainContext(chains, well(), 1.0, kernel("mala", 0.5), At((0.0, 0.0), 8.0)))
    assert found.verdict == "refused" and "no state came from the far end" in found.reason


def test_two_valued_and_constant_functions_are_no_obstacle() -> None:
    coins = np.random.default_rng(0).integers(0, 2, (K * M, 10)).astype(float)
    found = nested_r_hats({"coin": coins, "constant": np.ones_like(coins)}, STARTS)
    assert found is not None and list(found.bounds) == ["coin"] and found.agree


def test_a_run_with_superchains_records_them(tmp_path: Path) -> None:
    words = ["energy=quadratic", "event=[2]", "sampler=hmc", "start.scale=8", "chains=64", "superchains=8"]
    short = ["steps=40", "thin=1", "burn_in=100"]
    assert main(["sample", *words, *short, f"out={tmp_path / 'run'}"]) == 0
    starts = chain_file.read(tmp_path / "run" / "chains.nc").starts
    assert starts is not None and (np.bincount(starts) == 8).all() and (starts[:8] == starts[8:16]).all()
    assert main(["diagnose", f"run={tmp_path / 'run'}", "diagnostic=[r_hat]", f"out={tmp_path / 'again'}"]) == 0
    rows, again = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("run", "again"))
    assert (
        rows["r_hat_nested"] == again["r_hat_nested"]
        and "8 groups of 8 chains, each" in rows["r_hat_nested"]["meaning"]
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["superchains=3"], "superchains must be >= 4"),
        (["superchains=20", "chains=32"], "chains must be >= 40 for superchains=20, got 32"),
        # Five groups of six chains are fewer than 32 chains.
        (["superchains=5", "chains=34"], "chains must be >= 35 for superchains=5, got 34"),
    ],
)
def test_too_few_superchains_or_chains_are_an_input_error(
    wrong: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "energy=quadratic", "event=[2]", *wrong]) == 2
    assert message in capsys.readouterr().err
