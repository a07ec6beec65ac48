"""Chains of the model: draws of its law, drives of every rung's, a verdict, and a cost that is what is spent."""

import math

import pytest
import torch

from ebm_cli.energy import frozen
from ebm_cli.partition.bracket import BLOCKS
from ebm_cli.partition.ladder import Ladder
from ebm_cli.partition.model_chains import BURN_IN, ModelChains
from ebm_cli.partition.path import Way
from ebm_cli.partition.unseen import LOOKS
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.ways import led, way_to

pytestmark = pytest.mark.usefixtures("float64")

A = (0.25, 1.0, 4.0)


def begun(way: Way, n: int = BLOCKS, rungs: int = 5) -> ModelChains:
    """So many ladders from where the pilot ends."""
    with frozen(way.space), torch.no_grad():
        pilot, z = led(way, 4 * n)
        ladder = Ladder.of(way, pilot, rungs, 3)
        return ModelChains(way, ladder, pilot.kernel_at(1.0), ladder.init(z[:n]), 0)


def quadratic() -> Way:
    return way_to(build("energy", "quadratic", {"a": list(A)}, event=(3,)), 1.0, normal_rows(300, 3, scale=1.5))


def extended(chains: ModelChains, *steps: int, seed: int = 0) -> ModelChains:
    rng = generator(seed, "chains", "cpu")
    with frozen(chains.way.space), torch.no_grad():
        for each in steps:
            chains.extend(each, rng)
    return chains


def test_draws_have_the_variance_of_the_model() -> None:
    chains = extended(begun(quadratic(), 300), 60)
    x = chains.way.space.states(chains.draws(8)).view(300, 8, 3)
    each = x.square().mean(1)
    error = each.std(0) / 300**0.5
    assert ((each.mean(0) - 1 / torch.tensor(A)).abs() < 4 * error).all()


def test_drives_are_those_of_every_rungs_law() -> None:
    """About 0 the precision at β is P = (1 − β)I + βLᵀAL, so that ⟨U₀ − U⟩ = ½ tr((I − LᵀAL)P⁻¹) + d/2·log 2π."""
    way = quadratic()
    way.space.middle.zero_()
    chains = extended(begun(way, 300), 60)
    B = way.space.root.T @ torch.diag(torch.tensor(A)) @ way.space.root
    drives = torch.stack(chains.drives[chains.begun :]).mean(0)
    for beta, found in zip(chains.ladder.betas, drives, strict=True):
        P = (1 - beta) * torch.eye(3) + beta * B
        exact = 0.5 * torch.trace((torch.eye(3) - B) @ torch.linalg.inv(P)) + 1.5 * math.log(2 * math.pi)
        assert abs(float(found.mean() - exact)) < 4 * float(found.std()) / 300**0.5


def test_going_on_is_the_same_as_never_having_stopped() -> None:
    whole, parts = extended(begun(quadratic()), 12), extended(begun(quadratic()), 5, 7)
    assert torch.equal(torch.stack(whole.z), torch.stack(parts.z)) and len(whole.drives) == 12


def test_a_step_costs_what_is_foreseen() -> None:
    chains = begun(quadratic())
    before = chains.way.spending.spent
    extended(chains, 9)
    assert chains.way.spending.spent - before == chains.cost(9)


def test_draws_are_evenly_spaced_of_each_ladder_after_the_burn_in() -> None:
    chains = extended(begun(quadratic()), 40)
    assert chains.begun == BURN_IN * 40
    z = chains.draws(3).view(BLOCKS, 3, 3)
    for place, step in enumerate((19, 29, 39)):
        # 30 steps are kept, from the tenth on, and the last of them is always drawn.
        assert torch.equal(z[:, place], chains.z[step][:BLOCKS])


def test_mixed_chains_are_told_so_with_what_was_searched() -> None:
    chains = extended(begun(quadratic()), 300)
    with frozen(chains.way.space), torch.no_grad():
        verdict = chains.mixing(generator(1, "verdict", "cpu"))
        before = chains.way.spending.spent
        again = chains.mixing(generator(2, "verdict", "cpu"))
    assert verdict.verdict == "ok" and "no mode elsewhere" in verdict.reason
    # What was searched once need not be searched again.
    assert again.reason == verdict.reason and chains.way.spending.spent - before < LOOKS


def test_chains_that_all_are_in_one_of_two_modes_are_not_mixed() -> None:
    energy = build("energy", "gaussian_mixture", {"means": [[0.0, 0.0], [12.0, 0.0]], "weights": [0.5, 0.5]})
    chains = extended(begun(way_to(energy, 1.0, normal_rows(300, 2))), 300)
    with frozen(chains.way.space), torch.no_grad():
        verdict = chains.mixing(generator(1, "verdict", "cpu"))
    assert verdict.verdict == "refused" and verdict.reason.startswith("not mixed")


def test_chains_that_stand_at_another_temperature_are_told_so() -> None:
    """The check differentiates the model twice, on every Python, under no_grad as rounds run it."""
    chains = extended(begun(quadratic()), 200)
    with torch.no_grad():
        assert "at T = " not in chains.mixing(generator(0, "verdict", "cpu")).reason
        chains.z = [1.5 * z for z in chains.z]
        verdict = chains.mixing(generator(0, "verdict", "cpu"))
    assert verdict.verdict == "refused" and "chains are at T = 2." in verdict.reason
