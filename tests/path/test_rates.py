"""A path from independent sites: its base, its conditional distributions, and replica exchange and log Z along it."""

import json
from pathlib import Path as File

import pytest
import torch

from ebm_cli.chain.budget import Budget
from ebm_cli.cli import main
from ebm_cli.data import Batch
from ebm_cli.energy._capabilities import HiddenUnits, offers
from ebm_cli.partition import log_z
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.path._coordinates import Integrand
from ebm_cli.path._site_coordinates import rates_path
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.discrete_langevin import DiscreteLangevin
from ebm_cli.sampler.gibbs import Gibbs
from ebm_cli.sampler.gibbs_with_gradients import GibbsWithGradients
from ebm_cli.sampler.tempering import Tempering
from tests.contract import build
from tests.sampler.discrete import MODELS, probabilities, sites_and_states, state_numbers

pytestmark = pytest.mark.usefixtures("float64")
MODEL = pytest.mark.parametrize("model", list(MODELS))


def drawn_rows(model: str, n: int, rng: torch.Generator, temperature: float = 1.0) -> torch.Tensor:
    energy = MODELS[model]()
    if offers(energy, HiddenUnits):
        energy.set_temperature(temperature)
    p = probabilities(energy, temperature)
    return sites_and_states(energy)[1][torch.multinomial(p, n, replacement=True, generator=rng)]


@MODEL
def test_the_base_is_the_product_of_its_rates_and_draws_have_them(model: str, rng: torch.Generator) -> None:
    energy, rows = MODELS[model](), drawn_rows(model, 50, rng)
    sites, x = sites_and_states(energy)
    base = rates_path(energy, 1.0, tuple(energy.event), rows).base
    u0, grad = base.energy_and_grad(x)
    counts = torch.stack([(sites.numbers(rows) == a).double().sum(0) + 1 for a in range(sites.values)], 1)
    rates = counts / counts.sum(1, keepdim=True)
    torch.testing.assert_close((-u0).exp(), rates[torch.arange(sites.count), sites.numbers(x)].prod(1))
    # The energy is linear, so that its gradient gives all differences.
    torch.testing.assert_close((grad * (x - x[:1])).flatten(1).sum(1), u0 - u0[0])
    found = sites.numbers(base.draw(20_000, rng))
    shares = torch.stack([(found == a).double().mean(0) for a in range(sites.values)], 1)
    assert ((shares - rates).abs() < 4.5 * (rates * (1 - rates) / 20_000).sqrt()).all()


@pytest.mark.parametrize("model", ["ising with a field", "potts with a field", "joint rbm"])
@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_conditionals_between_base_and_model_are_those_of_its_energy(
    model: str, beta: float, rng: torch.Generator
) -> None:
    energy = MODELS[model]().requires_grad_(False)
    sites, x = sites_and_states(energy)
    tempered = rates_path(energy, 1.4, tuple(energy.event), drawn_rows(model, 20, rng)).energy_at(beta)
    logits = tempered.site_logits(x, torch.tensor([1]))[:, 0].log_softmax(1)
    numbers = sites.numbers(x)
    e = []
    for value in range(sites.values):
        changed = numbers.clone()
        changed[:, 1] = value
        e.append(tempered(sites.states(changed, x.dtype)))
    torch.testing.assert_close(logits, (-torch.stack(e, 1)).log_softmax(1))


@MODEL
@pytest.mark.parametrize(
    "kernel",
    [GibbsWithGradients(1.0, 3), DiscreteLangevin(0.5, 1.0), Gibbs(1.0, "systematic")],
    ids=["gwg", "dl", "gibbs"],
)
@pytest.mark.parametrize("path", ["rates", "hot"])
def test_replica_exchange_keeps_the_distribution_of_all_states(
    path: str, kernel: Sampler, model: str, rng: torch.Generator
) -> None:
    energy, T, chains = MODELS[model]().requires_grad_(False), 0.9, 20_000
    if offers(energy, HiddenUnits):
        energy.set_temperature(T)
    sites, _ = sites_and_states(energy)
    p, rows = probabilities(energy, T), drawn_rows(model, 50, rng, T)
    along = (
        build("path", "rates", {"betas": [1.0, 0.5, 0.0]}, data=Batch(rows))
        if path == "rates"
        else build("path", "hot", {"temperatures": [1.0, 2.0]})
    )
    sampler = Tempering(kernel, T, None, None, along)
    state = sampler.init(energy, drawn_rows(model, chains, rng, T), rng)
    betas = along.replica_betas()
    u0 = along.annealing_path(energy, T).base.energy_and_grad(sites_and_states(energy)[1])[0]
    # Each replica starts with draws of its own density.
    with torch.no_grad():
        u = energy(sites_and_states(energy)[1]) / T
    draws = []
    for beta in betas:
        weights = (-(u0 + beta * (u - u0))).softmax(0)
        draws.append(sites_and_states(energy)[1][torch.multinomial(weights, chains, replacement=True, generator=rng)])
    exchange = sampler.exchange(energy)
    states = exchange.path.evaluate(torch.cat(draws))
    state = exchange.replicas(states, betas, sampler.step_factors_for(energy), odd=False)
    for _ in range(4):
        state, _ = sampler.step(energy, state, rng)
    counts = torch.bincount(state_numbers(sites, state.x), minlength=len(p)).double()
    expected = chains * p
    large = expected > 10
    k = int(large.sum())
    chi_squared = float(((counts - expected).square() / expected)[large].sum())
    assert abs(chi_squared - (k - 1)) < 4 * (2 * (k - 1)) ** 0.5 + 8
    assert float(state.min_swap_rate()) > 0.05


@pytest.mark.parametrize("method", ["bridge", "ais", "smc", "ti"])
@pytest.mark.parametrize("model", ["ising", "potts with a field", "rbm", "joint rbm"])
def test_log_z_along_the_path_holds_the_sum_over_all_states(method: str, model: str, rng: torch.Generator) -> None:
    energy = MODELS[model]().requires_grad_(False)
    _, x = sites_and_states(energy)
    with torch.no_grad():
        exact = float((-energy(x)).logsumexp(0))
    integrand = Integrand(energy, 1.0, tuple(energy.event), drawn_rows(model, 200, rng), 0)
    settings = DEFAULT_SETTINGS.__class__(**(vars(DEFAULT_SETTINGS) | {"method": method, "temperatures": 50}))
    found = log_z(integrand, settings, Budget(100_000, None)).estimate
    assert found.verdict != "refused" and found.lower is not None and found.upper is not None
    slack = 2 * max(found.upper - found.lower, 0.01)
    assert found.lower - slack < exact < found.upper + slack
    assert abs(found.value - exact) < 4 * max(found.se or 0.0, (found.upper - found.lower) / 4)


def test_chains_of_a_command_go_along_it_and_give_log_z(here: File) -> None:
    words = ["sample", "energy=ising", "event=[4,4]", "sampler.temperature=3.0", "path=rates", "out=run", "threads=1"]
    assert main([*words, "chains=32", "steps=800", "seed=0"]) == 0
    found = json.loads((here / "run" / "metrics.json").read_text())
    energy = build("energy", "ising", event=(4, 4))
    assert abs(found["log_z"]["value"] - energy.log_z(3.0)) < 4 * found["log_z"]["se"]
    assert found["round_trips"]["value"] > 0


def test_evaluation_along_it_gives_log_z(here: File) -> None:
    words = ["evaluate", "energy=ising", "event=[4,4]", "temperature=3.0", "path=rates", "metric=[log_z]"]
    assert main([*words, "metric.log_z.method=bridge", "budget=200000", "out=run", "threads=1", "seed=0"]) == 0
    found = json.loads((here / "run" / "metrics.json").read_text())["log_z"]
    assert found["lower"] - 0.02 < build("energy", "ising", event=(4, 4)).log_z(3.0) < found["upper"] + 0.02
