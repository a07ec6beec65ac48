"""Chains of the model: draws and ΔU follow their distributions, verdicts are right, and costs are counted."""

import math

import pytest
import torch

from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.chain.pilot import Ladder
from ebm_cli.energy import frozen
from ebm_cli.partition.bracket import BLOCKS
from ebm_cli.partition.mode_search import MAX_SEARCH_POINTS
from ebm_cli.partition.model_chains import BURN_IN_FRACTION, ModelChains
from ebm_cli.rng import generator
from ebm_cli.sampler._replica_exchange import ReplicaExchange
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.paths import path_to, pilot_of

pytestmark = pytest.mark.usefixtures("float64")

A = (0.25, 1.0, 4.0)


def start_chains(path: CountedPath, n: int = BLOCKS, rungs: int = 5) -> ModelChains:
    """So many ladders from where the pilot ends."""
    with frozen(path.space), torch.no_grad():
        pilot, z = pilot_of(path, 4 * n)
        betas = pilot.schedule(rungs - 1).betas[::-1]
        ladder = Ladder(betas, [pilot.kernel_at(beta).step_size for beta in betas[:-1]])
        exchange = ReplicaExchange(path, ladder.kernel, 1.0, has_draws=True)
        start = exchange.init(z[:n], ladder.betas, ladder.step_factors)
        return ModelChains(path, exchange, ladder.kernel.leapfrog_steps, pilot.kernel_at(1.0), start, 0)


def quadratic() -> CountedPath:
    return path_to(build("energy", "quadratic", {"a": list(A)}, event=(3,)), 1.0, normal_rows(300, 3, scale=1.5))


def extended(chains: ModelChains, *steps: int, seed: int = 0) -> ModelChains:
    rng = generator(seed, "chains", "cpu")
    with frozen(chains.path.space), torch.no_grad():
        for each in steps:
            chains.extend(each, rng)
    return chains


def test_draws_have_the_variance_of_the_model() -> None:
    chains = extended(start_chains(quadratic(), 300), 60)
    x = chains.path.space.states(chains.draws(8)).view(300, 8, 3)
    each = x.square().mean(1)
    error = each.std(0) / 300**0.5
    assert ((each.mean(0) - 1 / torch.tensor(A)).abs() < 4 * error).all()


def test_mean_delta_u_equals_its_closed_form_at_every_beta() -> None:
    """About 0 the precision at β is P = (1 − β)I + βLᵀAL, so that ⟨U₀ − U⟩ = ½ tr((I − LᵀAL)P⁻¹) + d/2·log 2π."""
    path = quadratic()
    path.space.center.zero_()
    chains = extended(start_chains(path, 300), 60)
    B = path.space.scale_matrix.T @ torch.diag(torch.tensor(A)) @ path.space.scale_matrix
    delta_u = torch.stack(chains.delta_u[chains.burn_in_steps :]).mean(0)
    for beta, found in zip(chains.replicas.betas, delta_u, strict=True):
        P = (1 - beta) * torch.eye(3) + beta * B
        exact = 0.5 * torch.trace((torch.eye(3) - B) @ torch.linalg.inv(P)) + 1.5 * math.log(2 * math.pi)
        assert abs(float(found.mean() - exact)) < 4 * float(found.std()) / 300**0.5


def test_extend_in_parts_equals_extend_at_once() -> None:
    whole, parts = extended(start_chains(quadratic()), 12), extended(start_chains(quadratic()), 5, 7)
    assert torch.equal(torch.stack(whole.z), torch.stack(parts.z)) and len(whole.delta_u) == 12


def test_a_step_costs_what_is_forestates() -> None:
    chains = start_chains(quadratic())
    before = chains.path.budget.used
    extended(chains, 9)
    assert chains.path.budget.used - before == chains.cost(9)


def test_draws_are_evenly_spaced_after_the_burn_in() -> None:
    chains = extended(start_chains(quadratic()), 40)
    assert chains.burn_in_steps == BURN_IN_FRACTION * 40
    z = chains.draws(3).view(BLOCKS, 3, 3)
    for place, step in enumerate((19, 29, 39)):
        # 30 steps are kept, from the tenth on, and the last of them is always drawn.
        assert torch.equal(z[:, place], chains.z[step][:BLOCKS])


def test_mixing_of_mixed_chains_describes_the_search_and_does_not_repeat_it() -> None:
    chains = extended(start_chains(quadratic()), 300)
    with frozen(chains.path.space), torch.no_grad():
        verdict = chains.mixing(generator(1, "verdict", "cpu"))
        before = chains.path.budget.used
        again = chains.mixing(generator(2, "verdict", "cpu"))
    assert verdict.verdict == "ok" and "no further mode was found" in verdict.reason
    # What was searched once need not be searched again.
    assert again.reason == verdict.reason and chains.path.budget.used - before < MAX_SEARCH_POINTS


def test_mixing_of_chains_in_one_of_two_modes_is_refused() -> None:
    energy = build("energy", "gaussian_mixture", {"means": [[0.0, 0.0], [12.0, 0.0]], "weights": [0.5, 0.5]})
    chains = extended(start_chains(path_to(energy, 1.0, normal_rows(300, 2))), 300)
    with frozen(chains.path.space), torch.no_grad():
        verdict = chains.mixing(generator(1, "verdict", "cpu"))
    assert verdict.verdict == "refused" and verdict.reason.startswith("not mixed")


def test_mixing_of_chains_at_another_temperature_is_refused() -> None:
    """The check differentiates the model twice, on every Python, under no_grad as rounds run it."""
    chains = extended(start_chains(quadratic()), 200)
    with torch.no_grad():
        assert "at T = " not in chains.mixing(generator(0, "verdict", "cpu")).reason
        chains.z = [1.5 * z for z in chains.z]
        verdict = chains.mixing(generator(0, "verdict", "cpu"))
    assert verdict.verdict == "refused" and "chains are at T = 2." in verdict.reason
