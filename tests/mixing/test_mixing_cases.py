"""Thirty sets of chains whose true mixing status is known.

No unmixed set may be accepted, and at most one mixed set may be rejected.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import run_chains
from ebm_cli.cli import main
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate, refused
from ebm_cli.mixing.verdict import assess_mixing
from ebm_cli.sampler import Sampler
from ebm_cli.sampling.summary import moments
from ebm_cli.start import InitialStates
from tests.contract import build
from tests.diagnostic.ar1 import ar1

Make = Callable[[int], ChainContext]


def of(x: np.ndarray, **known: Any) -> ChainContext:
    """A file of chains, with whatever else is known of it."""
    return ChainContext(Chains(x=x if x.ndim > 2 else x[:, :, None]), **known)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def kernel(name: str, step_size: float) -> Sampler:
    return build("sampler", name, {"step_size": step_size})


@dataclass(frozen=True)
class At:
    """Chains start around one point, with a given standard deviation."""

    point: tuple[float, ...]
    scale: float

    def draw(self, n: int, batch: Any, rng: torch.Generator) -> InitialStates:
        x = torch.tensor(self.point) + self.scale * torch.randn(n, len(self.point), generator=rng)
        return InitialStates(x, torch.zeros(n, dtype=torch.int64), None)

    def keep(self, begun: InitialStates, x: torch.Tensor, steps: int) -> None:
        """Nothing is kept."""


def moved(energy: nn.Module, sampler: Any, start: At, seed: int, chains: int = 16, steps: int = 2000) -> ChainContext:
    """Chains that a kernel made, thinned by four, with all that is known of them."""
    rng = torch.Generator().manual_seed(seed)
    x = start.draw(chains, None, rng).x
    done = run_chains(sampler, energy, x, steps, rng, burn_in=steps // 10, thin=4)
    kept = Chains(
        x=done.x.transpose(0, 1).double().numpy(),
        potential=done.energy.T.double().numpy(),
        thin=4,
        gradients=done.steps + 1,
    )
    return ChainContext(kept, energy, sampler.temperature, sampler, start)


def two_modes() -> GaussianMixture:
    return GaussianMixture(means=[[-5.0, 0.0], [5.0, 0.0]], stds=[1.0, 1.0], weights=[0.3, 0.7])


def well() -> Quadratic:
    return Quadratic(a=1.0, event=(2,))


def one_stuck(seed: int) -> ChainContext:
    x = normal(seed, 8, 500, 2)
    x[3] = x[3, :1]
    return of(x)


def stopped_halfway(seed: int) -> ChainContext:
    x = normal(seed, 8, 500, 2)
    x[3, 200:] = x[3, 200]
    return of(x)


def one_not_finite(seed: int) -> ChainContext:
    x = normal(seed, 8, 500, 2)
    x[5, 300:] = np.nan
    return of(x)


def drift(seed: int, by: float) -> ChainContext:
    return of(normal(seed, 8, 1000, 2) + np.linspace(0, by, 1000)[None, :, None])


def shrinking(seed: int) -> ChainContext:
    return of(normal(seed, 8, 1000, 2) * np.linspace(1.5, 0.7, 1000)[None, :, None])


def periodic(seed: int, period: float, noise: float) -> ChainContext:
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, (8, 1))
    return of(np.sin(2 * np.pi * np.arange(1000) / period + phase) + noise * random.standard_normal((8, 1000)))


def one_elsewhere(seed: int) -> ChainContext:
    x = normal(seed, 8, 500, 2)
    x[7] += 2.0
    return of(x)


def scales(seed: int) -> ChainContext:
    return of(normal(seed, 8, 500) * np.array([1, 1, 1, 1, 2, 2, 2, 2.0])[:, None])


def rarely_hopping(seed: int) -> ChainContext:
    random = np.random.default_rng(seed)
    side = (random.random((8, 1)) < 0.5) ^ (np.cumsum(random.random((8, 1000)) < 1e-3, 1) % 2 == 1)
    return of(6.0 * side + random.standard_normal((8, 1000)))


def wrong_temperature(seed: int) -> ChainContext:
    """Draws at T = 1.5 with the label T = 1."""
    x = 1.5**0.5 * normal(seed, 16, 500, 2)
    return of(x, energy=well(), temperature=1.0)


def thick(seed: int) -> ChainContext:
    x = np.repeat(np.repeat(normal(seed, 8, 1000, 1), 1, axis=2), 3, axis=2)
    return of(x + 0.1 * normal(seed + 1000, 8, 1000, 3))


def sticky_grid(seed: int) -> ChainContext:
    """A Metropolis walk on whole numbers, standard deviation 2, every fifth state kept."""
    random = np.random.default_rng(seed)
    x = np.round(2 * random.standard_normal(8))
    kept = []
    for step in range(10000):
        y = x + random.integers(-4, 5, 8)
        x = np.where(random.random(8) < np.exp((x**2 - y**2) / 8), y, x)
        if step % 5 == 0:
            kept.append(x)
    return of(np.stack(kept, 1))


BROKEN: dict[str, Make] = {
    "one stuck chain": one_stuck,
    "one chain that stops halfway": stopped_halfway,
    "all stuck in one mode, begun in it": lambda s: moved(two_modes(), kernel("sgld", 0.05), At((-5.0, 0.0), 0.1), s),
    "all stuck in one mode, begun as wide as it": lambda s: moved(
        two_modes(), kernel("mala", 0.5), At((5.0, 0.0), 1.0), s
    ),
    "drift by one": lambda s: drift(s, 1.0),
    "drift by a half": lambda s: drift(s, 0.5),
    "spread that shrinks": shrinking,
    "too short, iid of 3": lambda s: of(normal(s, 8, 3, 2)),
    "too short, 64 chains of 40 at ρ = 0.9": lambda s: of(ar1(0.9, 64, 40, s)),
    "slow, ρ = 0.995 over 1000": lambda s: of(ar1(0.995, 8, 1000, s)),
    "random walk": lambda s: of(np.cumsum(normal(s, 8, 1000), 1)),
    "not finite in one": one_not_finite,
    "periodic": lambda s: periodic(s, 37.3, 0.1),
    "periodic under noise": lambda s: periodic(s, 11.0, 0.7),
    "wrong temperature": wrong_temperature,
    "step so large that the temperature is off": lambda s: moved(well(), kernel("sgld", 0.5), At((0.0, 0.0), 1.0), s),
    "one chain elsewhere": one_elsewhere,
    "different scales": scales,
    "rarely hopping between modes": rarely_hopping,
}
HEALTHY: dict[str, Make] = {
    "iid": lambda s: of(normal(s, 8, 500, 2)),
    "iid in 64 dimensions": lambda s: of(normal(s, 16, 500, 64)),
    "four short chains": lambda s: of(normal(s, 4, 200, 4)),
    "ρ = 0.5": lambda s: of(ar1(0.5, 8, 500, s)),
    "ρ = 0.9": lambda s: of(ar1(0.9, 8, 1000, s)),
    "ρ = −0.9": lambda s: of(ar1(-0.9, 8, 1000, s)),
    "Cauchy": lambda s: of(np.random.default_rng(s).standard_cauchy((8, 500, 2))),
    "skewed": lambda s: of(np.random.default_rng(s).exponential(size=(8, 500, 2)) ** 2),
    "whole numbers": sticky_grid,
    "nearly a line": thick,
    "Langevin in one well": lambda s: moved(well(), kernel("mala", 0.5), At((0.5, 0.0), 0.1), s),
}


def mixing(context: ChainContext) -> Estimate:
    return assess_mixing(context, seed=0).estimate


@cache
def made(name: str) -> ChainContext:
    """The set of this name for seed 0, made once."""
    return (BROKEN | HEALTHY)[name](0)


@cache
def judged(name: str) -> Estimate:
    """The verdict on that set, found once."""
    return mixing(made(name))


def test_there_are_thirty_sets() -> None:
    assert len(BROKEN) + len(HEALTHY) == 30


def decides(judge: Callable[[str], Estimate]) -> bool:
    """Return True if a judge of named sets accepts no unmixed set and rejects at most one mixed set."""
    accepted = [name for name in BROKEN if judge(name).verdict == "ok"]
    rejected = {name: found.reason for name in HEALTHY if (found := judge(name)).verdict != "ok"}
    return not accepted and len(rejected) <= 1


def test_no_unmixed_set_is_accepted_and_at_most_one_mixed_set_is_rejected() -> None:
    assert decides(judged)


@pytest.mark.parametrize("constant", [refused("not mixed: always"), Estimate(1.0)], ids=["refuses", "accepts"])
def test_a_judge_with_one_answer_for_all_sets_fails(constant: Estimate) -> None:
    assert not decides(lambda name: constant)


# What the reason of each unmixed set must name, so that none is rejected for another reason.
EVIDENCE = {
    "one stuck chain": "never moved",
    "one chain that stops halfway": "for half of the draws",
    "drift by one": "drifts by",
    "too short, iid of 3": "fewer than the 4 needed",
    "not finite in one": "chain 5 not finite",
    "periodic": "oscillates",
    "periodic under noise": "oscillates",
    "wrong temperature": "the chains are at T = 1.4",
    "one chain elsewhere": "R̂ = ",
}


@pytest.mark.parametrize("name", EVIDENCE)
def test_the_reason_names_what_is_wrong_with_the_set(name: str) -> None:
    assert EVIDENCE[name] in judged(name).reason


def test_heavy_tails_mix_and_their_moments_are_under_caution() -> None:
    rows = moments(made("Cauchy").chains, [])
    for name in ("mean", "std"):
        assert rows[name].verdict == "caution" and "heavy tails" in rows[name].reason


def test_a_mode_that_no_chain_found_is_named() -> None:
    found = mixing(BROKEN["all stuck in one mode, begun in it"](1))
    assert found.verdict == "refused" and "settled in a different region, near (" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_sets_are_mixed_in_98_of_100(name: str) -> None:
    seeds = 25 if name == "Langevin in one well" else 100
    below = [found.reason for seed in range(1, seeds + 1) if (found := mixing(HEALTHY[name](seed))).verdict != "ok"]
    assert len(below) <= 0.02 * seeds, below


@pytest.mark.slow
def test_many_coordinates_raise_no_false_alarm() -> None:
    verdicts = [mixing(of(normal(seed, 64, 1000, 64))).verdict for seed in range(20)]
    assert verdicts.count("ok") >= 20 * 0.98


def test_an_array_of_unknown_origin_says_that_it_may_lack_a_mode() -> None:
    assert "unknown" in judged("iid").reason


def test_a_start_much_wider_than_the_chains_needs_no_probes() -> None:
    context = moved(well(), kernel("mala", 0.5), At((0.0, 0.0), 8.0), seed=0)
    judged = assess_mixing(context, seed=0)
    assert judged.estimate.verdict == "ok" and "times as wide" in judged.estimate.reason and not judged.notes


def test_probes_cost_at_most_a_quarter_of_the_chains_and_are_told() -> None:
    context = moved(well(), kernel("mala", 0.5), At((0.5, 0.0), 0.1), seed=0, chains=64, steps=2000)
    (note,) = assess_mixing(context, seed=0).notes
    assert "32 extra chains of 1000 steps" in note


def test_the_yamls_sampler_and_start_are_probed_as_well() -> None:
    start = build("start", "noise", {"scale": 0.5}, event=(2,))
    context = moved(well(), kernel("mala", 0.5), At((0.0, 0.0), 0.3), seed=0)
    known = ChainContext(context.chains, context.energy, 1.0, build("sampler", "mala", {"step_size": 0.5}), start)
    assert assess_mixing(known, seed=0).estimate.verdict == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("means", ["[[-5,0],[5,0]]", "[[0,0],[10,0]]"], ids=["begun between", "begun in one"])
@pytest.mark.parametrize("seed", range(20))
def test_sample_refuses_langevin_on_two_modes_ten_widths_apart(tmp_path: Path, means: str, seed: int) -> None:
    mixture = ["energy=gaussian_mixture", f"energy.means={means}", "energy.stds=[1,1]", "energy.weights=[0.3,0.7]"]
    assert main(["sample", *mixture, "sampler=mala", f"seed={seed}", f"out={tmp_path / 'run'}"]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["mixing"]["verdict"] == metrics["mean"]["verdict"] == "refused"
