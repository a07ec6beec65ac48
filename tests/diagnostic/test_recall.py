"""Recall: one stored pattern is recalled from all cues nearer to it than to its negative; more, by enumeration."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ebm_cli.chain.chains import Chains
from ebm_cli.cli import main
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.recall import corrupted
from ebm_cli.energy.hopfield import Hopfield
from ebm_cli.estimate import Estimate
from scripts.hopfield_capacity import recalled
from tests.contract import build
from tests.energy.parts import Rows
from tests.sampler.discrete import lowest_of_neighbors, sites_and_states, state_numbers

pytestmark = pytest.mark.usefixtures("float64")


def network(data: Rows, values: str) -> Hopfield:
    return build("energy", "hopfield", {"values": values}, data=data, event=None).requires_grad_(False)


def recall(patterns: torch.Tensor, values: str = "spin", **changes: float) -> dict[str, Estimate]:
    """The rows of a Hebbian network that stores these patterns."""
    data = Rows(patterns)
    context = ChainContext(Chains(x=np.zeros((1, 1, 1))), network(data, values), 0.0, data=data)
    return build("diagnostic", "recall", changes)(context).estimates


@pytest.mark.parametrize(("changed", "value", "overlap"), [(0, 1, 1), (4, 1, 1), (7, 0, -1), (11, 0, -1)])
def test_a_single_pattern_attracts_all_states_with_a_positive_overlap(
    changed: int, value: float, overlap: float, rng: torch.Generator
) -> None:
    """E = −½N(m² − 1/N) falls with |m|, for cues with m = 1 − 2·changed/11."""
    rows = recall(Sites("spin", (11,)).uniform(1, rng, torch.float64), corruption=changed / 11)
    assert rows["recall"].value == value
    assert rows["overlap"].value == pytest.approx(overlap)
    assert rows["load"].value == pytest.approx(1 / 11)


@pytest.mark.parametrize("values", ["spin", "binary"])
def test_patterns_are_recalled_from_themselves_if_they_are_fixed_points(values: str) -> None:
    sites, shares = Sites(values, (10,)), []
    for seed in range(5):
        patterns = sites.uniform(4, torch.Generator().manual_seed(seed), torch.float64)
        energy = network(Rows(patterns), values)
        is_fixed = energy(sites_and_states(energy)[1]) <= lowest_of_neighbors(energy) + 1e-12
        shares.append(is_fixed[state_numbers(sites, patterns)].double().mean().item())
        rows = recall(patterns, values, corruption=0.0, min_overlap=0.99)
        assert rows["recall"].value == pytest.approx(shares[-1])
    assert len(set(shares)) > 1


@pytest.mark.parametrize("sites", [Sites("binary", (2, 3)), Sites("spin", (6,)), Sites("categorical", (6, 3))])
def test_a_cue_has_another_value_at_as_many_sites_as_asked_for(sites: Sites, rng: torch.Generator) -> None:
    x = sites.uniform(1, rng, torch.float64).repeat(6000, *[1] * len(sites.event))
    cues = corrupted(sites, x, 2, rng)
    differs = sites.numbers(cues) != sites.numbers(x)
    assert sites.contain(cues) and (differs.sum(1) == 2).all()
    shares = (sites.numbers(cues)[..., None] == torch.arange(sites.values)).double().mean(0)
    expected = torch.where(
        sites.numbers(x[:1])[0, :, None] == torch.arange(sites.values), 2 / 3, 1 / 3 / (sites.values - 1)
    )
    assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / 6000) ** 0.5).all()


@pytest.mark.slow
def test_random_patterns_are_recalled_at_the_loads_at_which_large_networks_recall_them() -> None:
    few = np.array([recalled(500, 0.05, seed) for seed in range(4)])
    many = np.array([recalled(500, 0.12, seed)[0] for seed in range(10)])
    assert few[:, 0].min() == 1 and few[:, 1].mean() > 0.98
    assert many.mean() > 0.95 - 2 * many.std(ddof=1) / 10**0.5


def test_diagnose_recalls_the_patterns_of_a_run_and_only_of_networks_with_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ising = ["energy=ising", "event=[4,4]", "sampler=gibbs"]
    for name, words in {
        "hopfield": ["energy=hopfield", "data=patterns", "data.count=2", "data.size=40", "sampler=asynchronous"],
        "ising": [*ising, "sampler.temperature=2.0"],
    }.items():
        assert main(["sample", *words, "chains=4", "steps=40", "burn_in=5", f"out={name}"]) in (0, 1)
    assert main(["diagnose", "run=hopfield", "diagnostic=[recall]", "out=d"]) in (0, 1)
    rows = json.loads(Path("d/metrics.json").read_text())
    assert rows["recall"] == {"value": 1.0, "se": 0.0, "verdict": "ok", "reason": ""} | {
        "meaning": rows["recall"]["meaning"]
    }
    assert "40 of 40 cues" in rows["recall"]["meaning"] and rows["load"]["value"] == pytest.approx(0.05)
    assert Path("d/figures/recall.png").exists()
    main(["diagnose", "run=ising", "diagnostic=[recall]", "out=e"])
    assert "without data there are no patterns" in capsys.readouterr().out
