"""Autocorrelation time: AR(1) chains have τ = (1 + ρ)/(1 − ρ)."""

import numpy as np
import pytest

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._integrated_time import integrated_time
from ebm_cli.estimate import Estimate
from tests.contract import build
from tests.diagnostic.ar1 import ar1

RHO = pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])


def iat_max(x: np.ndarray, thin: int = 1) -> Estimate:
    diagnostic = build("diagnostic", "autocorrelation")
    return diagnostic(ChainContext(Chains(x=x[:, :, None], thin=thin))).estimates["iat_max"]


@RHO
def test_the_time_of_an_ar1_chain_is_its_closed_form(rho: float) -> None:
    found = iat_max(ar1(rho, 64, 4000, seed=0))
    assert found.verdict == "ok" and found.unit == "steps"
    assert abs(found.value - (1 + rho) / (1 - rho)) < 4 * found.se


@RHO
def test_the_stated_error_is_the_real_one(rho: float) -> None:
    seeds = 40
    times = [integrated_time(ar1(rho, 64, 4000, seed), window=5.0) for seed in range(1, seeds + 1)]
    z = np.array([(time.tau - (1 + rho) / (1 - rho)) / time.se for time in times])
    assert abs(z.std(ddof=1) - 1) < 4 / np.sqrt(2 * (seeds - 1))
    assert abs(z.mean()) < 4 / np.sqrt(seeds)


def test_the_stated_error_of_few_chains_is_the_real_one() -> None:
    seeds = 40
    times = [integrated_time(ar1(0.5, 4, 8000, seed), window=5.0) for seed in range(1, seeds + 1)]
    z = np.array([(time.tau - 3) / time.se for time in times])
    assert abs(z.std(ddof=1) - 1) < 4 / np.sqrt(2 * (seeds - 1))


@pytest.mark.parametrize(("rho", "draws"), [(0.0, 100), (0.5, 150)], ids=["independent", "of 50 times"])
@pytest.mark.parametrize("chains", [4, 8, 32])
def test_one_and_two_standard_errors_cover_at_their_rates(rho: float, draws: int, chains: int) -> None:
    seeds = 1000
    times = [integrated_time(ar1(rho, chains, draws, seed), window=5.0) for seed in range(seeds)]
    z = np.array([(time.tau - (1 + rho) / (1 - rho)) / time.se for time in times])
    for errors, rate in ((1.0, 0.6827), (1.96, 0.95)):
        assert abs((abs(z) < errors).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / seeds)


def test_the_error_of_the_square_of_a_gaussian_process_is_the_real_one() -> None:
    seeds = 200
    times = [integrated_time(ar1(0.9, 32, 900, seed) ** 2, window=5.0) for seed in range(seeds)]
    z = np.array([(time.tau - 1.81 / 0.19) / time.se for time in times])
    assert abs(z.std(ddof=1) - 1) < 4 / np.sqrt(2 * (seeds - 1))


def test_two_chains_must_be_twice_as_long_as_four() -> None:
    x = ar1(0.5, 4, 250, seed=7)
    assert iat_max(x).verdict == "ok"
    found = iat_max(x[:2])
    assert found.verdict == "caution" and "(minimum: 100)" in found.reason


def test_thinned_draws_count_as_the_steps_between_them() -> None:
    x = ar1(0.9, 64, 4000, seed=2)
    once, thrice = iat_max(x), iat_max(x, thin=3)
    assert thrice.value == 3 * once.value and thrice.se == 3 * once.se


def test_chains_of_under_fifty_times_are_under_caution() -> None:
    found = iat_max(ar1(0.9, 64, 400, seed=3))
    assert found.verdict == "caution" and "Type steps=" in found.reason


def test_chains_of_under_four_times_are_refused() -> None:
    found = iat_max(ar1(0.999, 64, 400, seed=4))
    assert found.verdict == "refused" and "Type steps=" in found.reason


def test_chains_that_sit_apart_do_not_look_fast() -> None:
    x = ar1(0.0, 8, 1000, seed=5) + 10.0 * np.arange(8)[:, None]
    assert iat_max(x).verdict == "refused"


def test_a_coordinate_that_never_changes_does_not_hide_the_others() -> None:
    x = ar1(0.5, 64, 4000, seed=6)
    both = Chains(x=np.stack([x, np.ones_like(x)], 2))
    found = build("diagnostic", "autocorrelation")(ChainContext(both)).estimates["iat_max"]
    assert (found.value, found.se) == (iat_max(x).value, iat_max(x).se)
    assert found.verdict == "caution" and "x[1] never moved in any chain" in found.reason


@pytest.mark.parametrize("name", ["ising", "potts"])
def test_the_hamming_distance_of_independent_sites_has_the_time_of_one_site(name: str) -> None:
    """Each site changes with probability 0.1 per step: ρ = 0.8 for sites, and for sums over them."""
    random = np.random.default_rng(0)
    first = random.integers(2, size=(32, 1, 12))
    numbers = np.concatenate([first, first + np.cumsum(random.random((32, 4000, 12)) < 0.1, axis=1)], axis=1) % 2
    x = np.eye(2)[numbers] if name == "potts" else 2.0 * numbers - 1
    energy = build("energy", name, {"graph": "complete"}, event=(12, 2) if name == "potts" else (12,))
    chains = Chains(x=x, potential=numbers.sum(2).astype(float))
    rows = build("diagnostic", "autocorrelation")(ChainContext(chains, energy, 1.0)).estimates
    for row in ("iat_hamming", "iat_energy"):
        assert rows[row].verdict == "ok" and abs(rows[row].value - 9) < 4 * rows[row].se
