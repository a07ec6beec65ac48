"""Self-transition: Σ πᵢ P_ii of a chain with a known transition matrix."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import run_chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy.ising import Ising
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate
from ebm_cli.sampling.fresh_chains import to_chains
from tests.contract import build
from tests.sampler.discrete import probabilities, single_site_matrix, sites_and_states, state_numbers

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


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["gibbs", "gibbs_with_gradients", "asynchronous"])
def test_kernels_of_discrete_states_stay_as_often_as_their_matrices_say(name: str, rng: torch.Generator) -> None:
    """Σ πᵢ P_ii on four spins, from the energies of all states."""
    energy, T = Ising(0.5, 0.2, "complete", "spin", False, (4,)).requires_grad_(False), 1.5
    sites, x = sites_and_states(energy)
    p, each = probabilities(energy, T), [single_site_matrix(energy, site, T) for site in range(sites.count)]
    matrix = {
        "gibbs": torch.linalg.multi_dot(each),
        "gibbs_with_gradients": gibbs_with_gradients_matrix(energy, T),
        "asynchronous": torch.linalg.matrix_power(torch.stack(each).mean(0), sites.count),
    }[name]
    start = x[torch.multinomial(p, 500, replacement=True, generator=rng)]
    sampler = build("sampler", name, {"temperature": T} | ({"updates": 1} if name == "gibbs_with_gradients" else {}))
    found = self_transition(to_chains(run_chains(sampler, energy, start, 400, rng), 1))
    # In asynchronous updates all chains share their sites, which varies P_ii from step to step.
    shared = float((each_order(energy, each) @ p).std()) / 400**0.5 if name == "asynchronous" else 0.0
    assert abs(found.value - float(p @ matrix.diagonal())) < 4 * (found.se**2 + shared**2) ** 0.5


def each_order(energy: nn.Module, each: list[Tensor]) -> Tensor:
    """The diagonals of the matrices of all orders in which sites may be drawn."""
    orders = itertools.product(each, repeat=len(each))
    return torch.stack([torch.linalg.multi_dot(order).diagonal() for order in orders])


def gibbs_with_gradients_matrix(energy: nn.Module, T: float) -> Tensor:
    """The transition matrix of one proposal, q ∝ exp(Δ/2T) with Δ the first-order change of −E, and its test."""
    sites, x = sites_and_states(energy)
    x = x.requires_grad_(True)
    e = energy(x)
    (grad,) = torch.autograd.grad(e.sum(), x)
    x, e = x.detach(), e.detach()
    q = (x * grad / T).softmax(1)
    y = state_numbers(sites, (x[:, None] * (1 - 2 * torch.eye(sites.count))).flatten(0, 1)).view(q.shape)
    back = q[y, torch.arange(sites.count)]
    accept = (((e[:, None] - e[y]) / T).exp() * back / q).clamp(max=1)
    return torch.zeros(len(x), len(x)).scatter(1, y, q * accept) + torch.diag(1 - (q * accept).sum(1))
