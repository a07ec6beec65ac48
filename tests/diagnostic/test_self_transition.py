"""Self-transition: Σ πᵢ P_ii of a chain whose transition matrix is known."""

import numpy as np

from ebm_cli.chain_file import Chains
from ebm_cli.diagnostic import Patient
from ebm_cli.estimate import Estimate
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
    return build("diagnostic", "self_transition")(Patient(chains)).estimates["self_transition"]


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


def test_moves_missed_by_thinning_are_said() -> None:
    found = self_transition(Chains(x=two_states(64, 1000, seed=0), thin=5))
    assert found.verdict == "caution" and "thin=1" in found.reason
