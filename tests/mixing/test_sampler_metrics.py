"""Metrics of samplers: the bias of a step, the values that burn-in tuned, and low swap rates."""

import json
from pathlib import Path

import pytest
import torch

from ebm_cli.chain.loop import Trajectory, run_chains
from ebm_cli.chain.tuning import Tuning
from ebm_cli.cli import main
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.mixing.sampler_metrics import (
    describe_tuning,
    sampler_metrics,
    tuned_values,
    with_tuned_values,
)
from ebm_cli.sampling.fresh_chains import to_chains
from ebm_cli.sampling.summary import summarize
from tests.contract import build

A, CHAINS = 4.0, 400


def trajectory(name: str, energy: torch.nn.Module, rng: torch.Generator, **changes) -> Trajectory:
    x = torch.randn(CHAINS, 2, generator=rng) / A**0.5
    return run_chains(build("sampler", name, changes), energy, x, 60, rng, burn_in=20, thin=3)


def rows_of(name: str, rng: torch.Generator, **changes) -> dict:
    energy = Quadratic([A, A], None)
    done = trajectory(name, energy, rng, **changes)
    chains = to_chains(done, 3)
    return sampler_metrics(done, ChainContext(chains, energy, done.sampler.temperature), Tuning(), rng)


def test_sgld_tells_what_mala_accepts(rng: torch.Generator, float64: None) -> None:
    told = rows_of("sgld", rng, step_size=0.1)["mala_acceptance"]
    accepted = trajectory("mala", Quadratic([A, A], None), rng, step_size=0.1).accept.mean(0)
    # Both chains are near their target, whose laws differ by a quarter in variance at this step.
    assert told.value == pytest.approx(float(accepted.mean()), abs=0.03)
    assert rows_of("sgld", rng, step_size=1e-4)["mala_acceptance"].value > 0.999


@pytest.mark.parametrize(("name", "step_size"), [("sgld", 0.2), ("sghmc", 0.2)])
def test_biased_kernels_tell_their_temperature(
    name: str, step_size: float, rng: torch.Generator, float64: None
) -> None:
    found = rows_of(name, rng, step_size=step_size)["effective_temperature"]
    sampler = build("sampler", name, {"step_size": step_size})
    factor = 2 * (2 - sampler.friction) if name == "sghmc" else 2
    assert abs(found.value - 1 / (1 - A * step_size / factor)) < 4 * found.se


def test_underdamped_tells_its_energy_error(rng: torch.Generator, float64: None) -> None:
    small, large = (rows_of("underdamped", rng, step_size=η)["energy_error"] for η in (0.05, 0.1))
    assert 0 < small.value < small.value + 4 * small.se < large.value


def test_exact_kernels_tell_no_bias(rng: torch.Generator) -> None:
    assert rows_of("mala", rng) == {}


def test_what_burn_in_chose_is_told_in_words_that_fix_it() -> None:
    asked = build("sampler", "mala")
    found = build("sampler", "mala", {"step_size": 0.25, "scales": [1.0, 2.0]})
    rows = tuned_values(found)
    assert rows["step_size"].value == 0.25 and rows["scales"].value == [1.0, 2.0]
    assert describe_tuning(rows) == ["tuned during burn-in, then fixed: sampler.step_size=0.25 sampler.scales=[1,2]"]
    metrics = {name: row.to_json() for name, row in rows.items()}
    assert with_tuned_values(asked, metrics) == found
    assert describe_tuning({}) == [] and with_tuned_values(asked, {}) == asked


def test_tuned_replicas_are_told_in_words_that_fix_them() -> None:
    asked = build("sampler", "tempering")
    found = build("sampler", "tempering", {"temperatures": [1.0, 4.0], "step_factors": [0.5, 2.0]})
    rows = tuned_values(found)
    line = "tuned during burn-in, then fixed: sampler.step_factors=[0.5,2] path.temperatures=[1,4]"
    assert describe_tuning(rows) == [line]
    assert with_tuned_values(asked, {name: row.to_json() for name, row in rows.items()}) == found


def test_refused_places_without_energy_are_told_beside_the_acceptance(rng: torch.Generator) -> None:
    class Cliff(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x[:, 0] < 1, 0.5 * x.square().sum(1), torch.nan)

    done = run_chains(build("sampler", "mala", {"step_size": 0.3}), Cliff(), torch.zeros(8, 2), 40, rng, thin=4)
    chains = to_chains(done, 4)
    found = summarize(ChainContext(chains))["acceptance"]
    assert (
        found.verdict == "caution"
        and f"{int(done.diverging.sum())} of 320 proposals had non-finite energy" in found.reason
    )


def test_a_tuned_run_can_be_fixed_and_diagnosed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["energy=double_well", "sampler=mala", "chains=8", "steps=40", "thin=4", "burn_in=100"]
    assert main(["sample", *words, "adapt=all", "out=a"]) == 0
    found = json.loads(Path("a/metrics.json").read_text())
    fixed = [f"sampler.{name}={found[name]['value']}".replace(" ", "") for name in ("step_size", "scales")]
    assert main(["sample", *words, *fixed, "adapt=none", "out=b"]) == 0
    again = json.loads(Path("b/metrics.json").read_text())
    assert "step_size" not in again and again["acceptance"]["value"] > 0.3
    assert main(["diagnose", "run=a", "diagnostic=[r_hat]", "out=c"]) == 0
