"""Samples that metrics compare with data: draws of judged chains, or final states of which nothing is claimed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ebm_cli.cli import main
from ebm_cli.sampling.model_samples import spaced_draws

METRICS = "metric=[mmd,c2st,coverage,moments,frechet]"
FEW_METRICS = "metric=[mmd,moments]"
TINY = ["experiment=null", "data=gaussians_8", "energy.width=8", "trainer.steps=2", "trainer.batch_size=16"]
# Two narrow modes, 40 standard deviations apart, in the middle of data that surround both.
TWO_MODES = ["energy=gaussian_mixture", "energy.means=[[-6,0],[6,0]]", "energy.stds=[0.3,0.3]"]
AROUND = ["data=gaussian", "data.std=6", "data.n=600", "threads=1", "samples=120"]
OF_CHAINS = {"mixing", "swap_rate_min", "barrier", "round_trips", "chains_without_round_trip"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that were trained with persistent chains, and with short chains from noise."""
    here = tmp_path_factory.mktemp("trained")
    for start in ("replay", "noise"):
        assert main(["train", *TINY, f"start={start}", "sampler=mala", "threads=1", f"out={here / start}"]) == 0
    return {start: here / start for start in ("replay", "noise")}


def evaluated(out: Path, *words: str) -> dict[str, Any]:
    assert main(["evaluate", *words, f"out={out}"]) == 0
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        # Without replicas between, no chain leaves the mode in which it starts.
        (["path.betas=[1,0]"], "not mixed: "),
        # The base is in one mode, so that all chains agree without the other.
        (["energy.means=[[0,0],[200,0]]", "energy.stds=[6,6]", "path=base"], "minima that no chain has been near"),
    ],
)
def test_chains_that_cannot_cross_refuse_what_their_samples_say_of_the_model(
    words: list[str], reason: str, tmp_path: Path
) -> None:
    found = evaluated(tmp_path / "e", *TWO_MODES, *AROUND, METRICS, *words)
    assert found["mixing"]["verdict"] == "refused" and reason in found["mixing"]["reason"]
    of_samples = {"mmd", "c2st", "c2st_p_value", "coverage", "mean_error", "std_ratio", "frechet", "frechet_ratio"}
    for name in of_samples:
        assert found[name]["value"] is None and found[name]["reason"] == found["mixing"]["reason"], name
    # These numbers are of the data only.
    assert found["frechet_floor"]["verdict"] == found["coverage_expected"]["verdict"] == "ok"


@pytest.mark.parametrize(("samples", "verdict"), [(240, "ok"), (72, "caution")])
def test_samples_have_the_verdict_of_their_chains(
    samples: int, verdict: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    found = evaluated(tmp_path / "e", f"run={trained['replay']}", FEW_METRICS, f"samples={samples}", "threads=1")
    assert set(found) >= OF_CHAINS
    assert found["mixing"]["verdict"] == found["mmd"]["verdict"] == found["std_ratio"]["verdict"] == verdict
    assert found["round_trips"]["value"] > 0
    assert np.load(tmp_path / "e" / "samples.npy").shape == (samples, 2)


@pytest.mark.parametrize(("start", "words"), [("replay", ["sampler=of_run"]), ("noise", [])])
def test_final_states_of_the_runs_own_sampler_have_no_verdict_on_mixing(
    start: str, words: list[str], trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    short = ["samples=100", "steps=20", "threads=1"]
    found = evaluated(tmp_path / "e", f"run={trained[start]}", "metric=[c2st]", *short, *words)
    assert not set(found) & OF_CHAINS
    assert found["c2st"]["verdict"] == "ok" and "separates final states of chains from data" in found["c2st"]["meaning"]
    output = capsys.readouterr()
    assert "Whether they are draws of the model is not judged" in output.out + output.err


def test_the_number_of_chains_is_that_of_replica_exchange_only(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    short = ["metric=[mmd]", "samples=60", "steps=30", "threads=1", "chains=5"]
    assert evaluated(tmp_path / "e", f"run={trained['replay']}", *short)["mmd"]
    assert "of 5 chains of 30 steps" in (tmp_path / "e" / "report.html").read_text()
    assert main(["evaluate", f"run={trained['replay']}", *short, "sampler=of_run", f"out={tmp_path / 'f'}"]) == 2
    assert "chains is the number of chains of replica exchange from exact draws" in capsys.readouterr().err


def test_more_chains_than_samples_are_refused(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["metric=[mmd]", "samples=60", "threads=1", "chains=61", f"out={tmp_path / 'e'}"]
    assert main(["evaluate", f"run={trained['replay']}", *words]) == 2
    assert "chains must be <= 60, the number of samples, got 61" in capsys.readouterr().err


def test_samples_are_spaced_evenly_and_end_with_the_last_draw() -> None:
    x = torch.arange(60.0)[:, None, None].expand(60, 24, 1)
    found = spaced_draws(x, 350)
    assert found.shape == (350, 1) and found.unique().tolist() == list(range(3, 60, 4))
    assert spaced_draws(x[-1:], 24).unique().tolist() == [59.0]
