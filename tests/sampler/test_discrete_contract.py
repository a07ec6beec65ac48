"""What every sampler of discrete states owes: one step keeps the model's distribution, from a true cached energy."""

import math

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy._capabilities import HiddenUnits, offers
from tests.contract import build, samplers
from tests.sampler.discrete import MODELS, probabilities, sites_and_states, state_numbers

SPACES = {"ising": "spin", "potts": "categorical", "rbm": "binary", "cubic": "binary"}
# Replicas move by one of the others (tests/path/test_rates.py).
NAMES = sorted({name for space in SPACES.values() for name in samplers(space)} - {"tempering"})
EVERY = pytest.mark.parametrize("name", NAMES)
MODEL = pytest.mark.parametrize("model", list(MODELS))
CHAINS = 30_000
# The default step is for a binary site, whose values are half as far apart as those of a spin.
MODERATE = {"discrete_langevin": {"step_size": 1.0}}

pytestmark = pytest.mark.usefixtures("float64")


def test_every_discrete_sampler_is_found() -> None:
    assert {"gibbs", "gibbs_with_gradients", "discrete_langevin", "asynchronous", "wolff", "swendsen_wang"} <= set(
        NAMES
    )


def stationary_step(name: str, model: str, temperature: float, rng: torch.Generator) -> tuple:
    """A model, chains drawn from it, and the same chains after one step; skips what the kernel refuses by name."""
    energy = MODELS[model]().requires_grad_(False)
    if offers(energy, HiddenUnits):
        energy.set_temperature(temperature)
    sampler = build("sampler", name, {"temperature": temperature} | MODERATE.get(name, {}))
    p, (_, x) = probabilities(energy, temperature), sites_and_states(energy)
    drawn = x[torch.multinomial(p, CHAINS, replacement=True, generator=rng)]
    try:
        before = sampler.init(energy, drawn, rng)
        after, info = sampler.step(energy, before, rng)
    except InputError as refusal:
        assert "clusters need" in str(refusal)
        pytest.skip(str(refusal))
    return energy, before, after, info


@EVERY
@MODEL
@pytest.mark.parametrize("temperature", [0.8, 2.0])
def test_one_step_keeps_the_distribution_of_all_states(
    name: str, model: str, temperature: float, rng: torch.Generator
) -> None:
    energy, before, after, info = stationary_step(name, model, temperature, rng)
    sites, p = sites_and_states(energy)[0], probabilities(energy, temperature)
    assert sites.contain(after.x)
    torch.testing.assert_close(after.energy, energy(after.x))
    counts = torch.bincount(state_numbers(sites, after.x), minlength=len(p)).double()
    # χ² over states of enough mass has mean k − 1 and variance 2(k − 1).
    expected = CHAINS * p
    large = expected > 10
    k = int(large.sum())
    chi_squared = float(((counts - expected).square() / expected)[large].sum())
    assert abs(chi_squared - (k - 1)) < 4 * math.sqrt(2 * (k - 1)) + 8
    # Chains move, and every move is one that the kernel reports.
    moved = (after.x != before.x).flatten(1).any(1)
    assert moved.double().mean() > 0.02 and info.accept.shape == (CHAINS,)


@EVERY
def test_chains_depend_on_the_generator_alone(name: str) -> None:
    energy = MODELS["ising"]().requires_grad_(False)
    sampler, (sites, _) = build("sampler", name, {"temperature": 1.0}), sites_and_states(energy)
    ends = []
    for _ in range(2):
        rng = torch.Generator().manual_seed(3)
        state = sampler.init(energy, sites.uniform(50, rng, torch.float64), rng)
        for _ in range(5):
            state, _ = sampler.step(energy, state, rng)
        ends.append(state.x)
    assert torch.equal(*ends)


@EVERY
def test_it_says_on_its_class_that_it_is_adjusted(name: str) -> None:
    assert build("sampler", name).adjusted
