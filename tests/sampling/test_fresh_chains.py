"""Test new chains: by default they mix, they are as long as necessary, and a caution names its remedy."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ebm_cli.assembly.components import Parts
from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import Walk, run_chains
from ebm_cli.chain.tuning import Tuning
from ebm_cli.cli import main
from ebm_cli.energy import frozen
from ebm_cli.run.machine import resolve
from ebm_cli.run.terminal import NullTerminal, ignore_progress, never_stop
from ebm_cli.sampling.fresh_chains import missing_length, record_chains
from ebm_cli.sampling.sampling_plan import SamplingPlan
from tests.contract import build
from tests.diagnostic.ar1 import ar1


def sampled(*words: str) -> tuple[dict, dict]:
    """config.yaml and metrics.json of `ebm sample WORDS`."""
    assert main(["sample", *words, "out=r"]) == 0
    return yaml.safe_load(Path("r/config.yaml").read_text()), json.loads(Path("r/metrics.json").read_text())


# Mean and standard deviation of each coordinate, by formula or by quadrature.
KNOWN = {
    "quadratic": (["energy.a=[1,10000]"], [0.0, 0.0], [1.0, 0.01]),
    "gaussian_mixture": (
        ["energy.means=[[-15],[15]]", "energy.stds=[1,1]", "energy.weights=[0.25,0.75]"],
        [7.5],
        [(225 * 0.75 + 1) ** 0.5],
    ),
    "double_well": (["sampler.temperature=0.5"], [0.0, 0.0], [None, 0.5**0.5]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_default_chains_of_an_energy_are_mixed_and_have_its_exact_moments(name: str, here: Path) -> None:
    words, means, stds = KNOWN[name]
    _, found = sampled(f"energy={name}", *words)
    assert found["mixing"]["verdict"] == found["ess_bulk_min"]["verdict"] == "ok", found["mixing"]
    for key, expected in (("mean", means), ("std", stds)):
        row = {part: np.atleast_1d(found[key][part]) for part in ("value", "se")}
        # Standard errors are over chains. Each chain has an ESS of about 50.
        assert all(
            exact is None or abs(value - exact) < 4 * se
            for value, se, exact in zip(row["value"], row["se"], expected, strict=True)
        ), found[key]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "sampler=mala", "sampler=nuts"])
@pytest.mark.parametrize(
    "energy", ["quadratic event=[5]", "gaussian_mixture", "double_well", "muller_brown", "phi4", "funnel"]
)
def test_each_analytic_energy_is_mixed(energy: str, words: str, here: Path) -> None:
    _, found = sampled(*f"energy={energy} {words} threads=1".split())
    doubtful = energy == "funnel"
    assert found["mixing"]["verdict"] == "ok" or doubtful
    assert words or found["mixing"]["verdict"] in ("ok", "caution")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("energy=quadratic event=[2]", "hmc"),
        ("energy=quadratic event=[2] sampler.temperature=3", "hmc"),
        ("energy=double_well", "tempering"),
        ("energy=quadratic event=[2] path.replicas=3 sampler.kernel.short=0.2", "tempering"),
        ("energy=quadratic event=[2] sampler=tempering", "tempering"),
        ("energy=quadratic event=[2] sampler=mala", "mala"),
    ],
)
def test_one_well_takes_hmc_unless_the_line_sets_the_sampler(words: str, expected: str, here: Path) -> None:
    config, _ = sampled(*words.split(), "chains=4", "steps=10", "burn_in=0")
    assert config["sampler"]["_target_"].split(".")[-2] == expected
    assert config["sampler"]["temperature"] == (3 if "temperature" in words else 1.0)


def test_auto_steps_continue_until_mixing_is_decided_and_earlier_steps_are_burn_in(here: Path) -> None:
    words = ["energy=quadratic", "event=[1]", "sampler=mala", "sampler.step_size=0.02", "chains=16"]
    config, found = sampled(*words)
    # τ is 2/η = 100 steps, of which each chain needs 20.
    assert 2000 <= config["steps"] < 20000 and config["burn_in"] >= 1500 and config["adapt"] == "none"
    assert found["mixing"]["verdict"] == "ok"


def test_a_budget_that_is_too_small_is_reported_with_a_sufficient_budget(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["energy=quadratic", "event=[1]", "sampler=mala", "sampler.step_size=0.02", "chains=16"]
    config, found = sampled(*words, "budget=40000")
    told = capsys.readouterr().err
    assert config["steps"] == 1000 and found["mixing"]["verdict"] != "ok"
    assert main(["sample", *words, f"budget={re.findall(r'budget=([0-9]+)', told)[0]}", "out=s"]) == 0
    assert json.loads(Path("s/metrics.json").read_text())["mixing"]["verdict"] == "ok"


@pytest.mark.parametrize(("rho", "draws"), [(0.5, 400), (0.9, 400), (0.98, 800), (0.99, 1600)])
def test_required_lengths_follow_from_autocorrelation_times(rho: float, draws: int) -> None:
    chains = 64
    x = ar1(rho, chains, draws, seed=0)[..., None]
    needed = 20 * (1 + rho) / (1 - rho) / draws
    least, likely = missing_length(Chains(x=x, potential=x[..., 0] ** 2 / 2))
    # A decision on mixing needs only 25 independent draws per chain; τ of short chains is underestimated.
    assert (likely <= 1.3) if needed < 0.96 else (0.7 * needed < likely < 1.6 * needed and least <= likely)


def test_chains_without_round_trips_go_on_until_states_can_have_crossed() -> None:
    x = ar1(0.5, 64, 1000, seed=0)[..., None]
    chains = Chains(x=x, potential=x[..., 0] ** 2 / 2, round_trips=np.zeros(64, int), crossing_steps=2000.0)
    assert missing_length(chains) == (4.0, 4.0)
    # More steps do not help if neighbors hardly swap.
    assert missing_length(dataclasses.replace(chains, crossing_steps=np.inf))[0] <= 1
    assert missing_length(dataclasses.replace(chains, round_trips=np.eye(64, dtype=int)[0]))[0] <= 1


def test_an_interval_continues_where_the_interval_before_ended(rng: torch.Generator) -> None:
    energy, x = build("energy", "double_well", event=(2,)), torch.randn(4, 2, generator=rng)
    sampler = build("sampler", "tempering", {"replicas": 3})
    whole = run_chains(sampler, energy, x, 40, torch.Generator().manual_seed(1), thin=2)
    with frozen(energy), torch.no_grad():
        walk = Walk(
            sampler, energy, x, torch.Generator().manual_seed(1), 0, Tuning(), ignore_progress, never_stop, "eager"
        )
        parts = [walk.record(16, 2), walk.record(24, 2)]
    assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
    assert torch.equal(torch.cat([part.accept for part in parts]), whole.accept)
    assert parts[-1].steps == 40 and torch.equal(parts[-1].gradients, whole.gradients)


def test_lengths_that_auto_stands_for() -> None:
    local, flights = SamplingPlan(4, "auto", "auto", "auto"), SamplingPlan(4, "auto", "auto", "auto", trajectories=True)
    assert (local.burn_in_steps, local.first_steps, local.thin_of(1000), local.thin_of(30000)) == (500, 1000, 10, 300)
    assert (flights.burn_in_steps, flights.first_steps, flights.thin_of(300)) == (200, 300, 3)
    assert SamplingPlan(4, 7, 3, "auto").thin_of(7) == 7


class Halts(NullTerminal):
    """A terminal that asks to stop from the given poll on."""

    def __init__(self, look: int) -> None:
        self.looks, self.look = 0, look

    def stopping(self) -> bool:
        self.looks += 1
        return self.looks >= self.look


@pytest.mark.parametrize(("look", "draws"), [(1700, 100), (1, 0)])
def test_a_stop_keeps_the_longest_interval(look: int, draws: int, rng: torch.Generator) -> None:
    place, sampler = resolve("cpu", "float32", 1), build("sampler", "mala", {"step_size": 0.01})
    energy = build("energy", "quadratic", event=(1,))
    parts = Parts(place, (1,), energy, None, sampler, None, None, {}, None, "eager")
    length = SamplingPlan(8, "auto", "auto", "auto", budget=10**7)
    moved = record_chains(parts, torch.randn(8, 1, generator=rng), length, Tuning(), rng, Halts(look))
    # The first interval ends after 1,500 polls; the second interval had 200 steps.
    assert len(moved.trajectory.x) == draws and moved.steps == 1000
