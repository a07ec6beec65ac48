"""Self-transition: Σ πᵢ P_ii of a chain with a known transition matrix."""

import numpy as np
import pytest
import torch

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import run_chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate
from ebm_cli.sampling.fresh_chains import to_chains
from tests.contract import build

LEAVE = np.array([0.1, 0.4])  # 1 − P₀₀, 1 − P₁₁
STATIONARY = LEAVE[::-1] / LEAVE.sum()
STAY = float(STATIONARY @ (1 - LEAVE))


def two_states(chains: int, draws: int, seed: int) -> np.ndarray:
    """Stationary chains on {0, 1}, (chain, draw, 1)."""
    random = np.random.default_rng(seed)
    x = np.empty((chains, draws), dtype=np.int64)
    x[:, 0] = random.random(chains) < STATIONARY[1]
    for t in range(1, draws):
        x[:, t] = x[:, t - 1] ^ (random.random(chains) < LEAVE[x[:, t - 1]])
    return x[:, :, None].astype(float)


def self_transition(chains: Chains) -> Estimate:
    return build("diagnostic", "self_transition")(ChainContext(chains)).estimates["self_transition"]


def test_a_two_state_chain_stays_as_often_as_its_matrix_says() -> None:
    found = self_transition(Chains(x=two_states(64, 1000, seed=0)))
    assert found.verdict == "ok"
    assert abs(found.value - STAY) < 4 * found.se


def test_a_chain_that_never_moved_is_named_and_left_out() -> None:
    x = two_states(64, 1000, seed=0)
    x[37] = 1.0
    found, others = self_transition(Chains(x=x)), self_transition(Chains(x=np.delete(x, 37, 0)))
    assert found.verdict == "caution" and "chain 37 never moved" in found.reason
    assert found.value == others.value


def test_a_chain_said_to_be_left_out_for_its_energy_is_left_out() -> None:
    x = two_states(64, 1000, seed=0)
    x[37] = np.repeat([0.0, 1.0], 500)[:, None]
    potential = x[:, :, 0].copy()
    potential[37, 5] = np.inf
    found = self_transition(Chains(x=x, potential=potential))
    assert found.verdict == "caution" and "chain 37 not finite, left out" in found.reason
    assert found.value == self_transition(Chains(x=np.delete(x, 37, 0))).value


def test_short_chains_of_which_many_have_not_moved_yet_are_never_ok() -> None:
    assert self_transition(Chains(x=two_states(64, 3, seed=1))).verdict != "ok"


def test_stays_between_draws_are_not_made_up() -> None:
    x = two_states(64, 1000, seed=0)
    for chains in (Chains(x=x, thin=5), Chains(x=x, thin=5, acceptance=np.ones(x.shape[:2]))):
        found = self_transition(chains)
        assert found.verdict == "refused" and "thin=1" in found.reason


@pytest.mark.parametrize("name", ["mala", "hmc", "jump_mala"])
@pytest.mark.parametrize("thin", [7, 20])
def test_thinned_chains_stay_as_often_as_those_of_every_step(name: str, thin: int, rng: torch.Generator) -> None:
    energy = Quadratic([4.0, 4.0], None)
    x = torch.randn(200, 2, generator=rng) / 2
    sampler = build("sampler", name, {"step_size": 1.0 if name == "hmc" else 0.45})
    found = []
    for each in (1, thin):
        done = run_chains(sampler, energy, x, 140, torch.Generator().manual_seed(3), thin=each)
        found.append(to_chains(done, each))
    every, few = found
    all_steps, thinned = self_transition(every), self_transition(few)
    assert thinned.verdict == all_steps.verdict == "ok" and thinned.value == pytest.approx(all_steps.value, rel=1e-5)
    counted = float((every.x[:, 1:] == every.x[:, :-1]).all(2).mean())
    # The count is a sum of coins whose expectations the acceptance gives.
    assert counted > 0.05
    assert abs(thinned.value - counted) < 4 * (counted * (1 - counted) / (200 * 139)) ** 0.5


def test_kernels_without_a_test_never_stay_however_thin(rng: torch.Generator) -> None:
    done = run_chains(build("sampler", "sgld"), Quadratic([1.0], None), torch.randn(8, 1), 60, rng, thin=6)
    assert self_transition(to_chains(done, 6)).value == 0


def test_kernels_whose_acceptance_is_another_thing_are_refused_when_thinned(rng: torch.Generator) -> None:
    done = run_chains(build("sampler", "nuts"), Quadratic([1.0], None), torch.randn(8, 1), 60, rng, thin=6)
    assert self_transition(to_chains(done, 6)).verdict == "refused"
