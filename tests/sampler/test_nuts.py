"""NUTS: flights of about half a period, a cap on their length, and exact moments in many unequal directions."""

import math

import pytest
import torch

from ebm_cli.chain.loop import run_chains
from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import build, moment_z_scores

pytestmark = pytest.mark.usefixtures("float64")
MODERATE = {"step_size": 1.0}


def test_flights_in_a_round_well_turn_after_about_half_a_period(rng: torch.Generator) -> None:
    energy, ε = Quadratic([1.0] * 20, None), 0.1
    sampler = build("sampler", "nuts", {"step_size": ε})
    _, info = sampler.step(energy, sampler.init(energy, energy.draw(200, 1.0, rng), rng), rng)
    # 31 leapfrog steps make 0.99 half periods; a flight that has not turned by then doubles once more, or more often.
    assert int(math.pi / ε) == 31 and (info.gradients >= 31).all()
    assert (info.gradients == 31).double().mean() > 0.9


@pytest.mark.parametrize("max_depth", [1, 3, 5])
def test_the_cap_on_depth_is_kept(max_depth: int, rng: torch.Generator) -> None:
    energy = Quadratic([1.0], None)
    sampler = build("sampler", "nuts", {"step_size": 1e-3, "max_depth": max_depth})
    _, info = sampler.step(energy, sampler.init(energy, energy.draw(50, 1.0, rng), rng), rng)
    assert (info.gradients == 2**max_depth - 1).all()


def test_chains_in_one_batch_do_not_disturb_each_other(rng: torch.Generator) -> None:
    # Curvatures over three decades, so that flights of one batch end at very different lengths.
    a = torch.logspace(0, 3, 4).tolist()
    energy, chains = Quadratic(a, None), 2000
    sampler = build("sampler", "nuts", {"step_size": 0.04})
    x = run_chains(sampler, energy, energy.draw(chains, 1.0, rng), 3, rng, thin=None).last.x
    z_mean, z_variance = moment_z_scores(x, 0.0, 1 / torch.tensor(a))
    assert (z_mean < 4).all() and (z_variance < 4).all()


def test_a_step_is_worth_several_of_malas(rng: torch.Generator) -> None:
    energy = Quadratic([1.0] * 9 + [100.0], None)
    x = energy.draw(2000, 1.0, rng)
    nuts, mala = build("sampler", "nuts", {"step_size": 0.1}), build("sampler", "mala", {"step_size": 0.01})
    flight = run_chains(nuts, energy, x, 1, rng, thin=None)
    walk = run_chains(mala, energy, x, round(float(flight.gradients.mean())), rng, thin=None)
    # The slow coordinates have variance 1: what is left of where they stood, after as many gradients.
    kept = [float((x * done.last.x)[:, :9].mean()) for done in (flight, walk)]
    assert abs(kept[0]) < 0.2 and kept[1] > 0.6


def test_too_deep_a_tree_is_named() -> None:
    with pytest.raises(InputError, match=r"^max_depth must be <= 15"):
        build("sampler", "nuts", {"max_depth": 16})
