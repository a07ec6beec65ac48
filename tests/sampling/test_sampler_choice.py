"""The sampler of a trained run's chains: along a path from its rows, unless the line or the training says otherwise."""

import json
from pathlib import Path

import pytest
import yaml

from ebm_cli.chain import pilot
from ebm_cli.cli import main
from ebm_cli.cli.console import ConsoleTerminal

SHORT = ["chains=4", "steps=10", "thin=1", "burn_in=0", "threads=1"]
TINY = [
    "experiment=null",
    "data=gaussians_8",
    "energy.width=8",
    "trainer.steps=2",
    "trainer.batch_size=16",
    "threads=1",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that were trained with persistent chains, and with short chains from noise."""
    here = tmp_path_factory.mktemp("trained")
    for start in ("replay", "noise"):
        assert main(["train", *TINY, f"start={start}", "sampler=mala", f"out={here / start}"]) == 0
    return {start: here / start for start in ("replay", "noise")}


@pytest.mark.parametrize(
    ("start", "words", "sampler", "path"),
    [
        ("replay", "", "tempering", "base"),
        ("replay", "sampler.temperature=0.5", "tempering", "base"),
        ("replay", "sampler=of_run", "mala", "hot"),
        ("replay", "sampler.step_size=0.1", "mala", "hot"),
        ("replay", "sampler.temperature=0", "mala", "hot"),
        ("replay", "path=hot path.replicas=3", "tempering", "hot"),
        ("replay", "sampler=tempering path=base sampler.kernel=nuts", "tempering", "base"),
        ("noise", "", "mala", "hot"),
        ("noise", "path=base path.base=gaussian", "tempering", "base"),
    ],
)
def test_sampler_and_path_are_those_that_the_rules_choose(
    start: str,
    words: str,
    sampler: str,
    path: str,
    trained: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    fails = words.endswith("temperature=0")
    code = main(["sample", f"run={trained[start]}", *SHORT, *words.split(), f"out={tmp_path / 's'}"])
    if fails:
        # MALA has no step at T = 0.
        assert code == 2
        return
    assert code == 0
    printed = capsys.readouterr().err
    assert ("Type sampler=of_run" in printed) == (path == "base" and words in ("", "sampler.temperature=0.5"))
    assert ("sampler: that of the run, which was trained" in printed) == (start == "noise" and not words)
    config = yaml.safe_load((tmp_path / "s" / "config.yaml").read_text())
    assert config["sampler"]["_target_"].split(".")[-2] == sampler
    assert config["path"]["_target_"].split(".")[-2] == path
    if "nuts" in words:
        assert config["sampler"]["kernel"]["_target_"].endswith("NUTS")
    if path == "base":
        assert config["path"]["betas"][0] == 1 and config["path"]["betas"][-1] == 0


def test_a_sample_along_a_path_can_be_typed_again_and_diagnosed(trained: dict[str, Path], tmp_path: Path) -> None:
    run = f"run={trained['replay']}"
    assert main(["sample", run, *SHORT, f"out={tmp_path / 's'}"]) == 0
    assert main(["diagnose", f"run={tmp_path / 's'}", "diagnostic=[r_hat]", f"out={tmp_path / 'd'}"]) == 0
    words = ["sampler=tempering", "path=base", "path.betas=[1,0.4,0]", "path.base=gaussian"]
    assert main(["sample", run, *SHORT, *words, f"out={tmp_path / 't'}"]) == 0


def test_without_a_path_the_sampler_of_the_run_stays_unless_a_path_is_typed(
    trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    # A pilot that may make no step does not reach the model.
    monkeypatch.setattr(pilot, "MAX_STEPS", 0)
    words = ["sample", f"run={trained['replay']}", *SHORT]
    assert main([*words, f"out={tmp_path / 's'}"]) == 0
    assert "no path from a density fitted to the rows was found" in capsys.readouterr().err
    config = yaml.safe_load((tmp_path / "s" / "config.yaml").read_text())
    assert config["sampler"]["_target_"].split(".")[-2] == "mala"
    assert main([*words, "path=base", f"out={tmp_path / 't'}"]) == 2
    assert "annealing from it does not reach the model. Type another path.base" in capsys.readouterr().err


def test_a_pilot_run_shows_that_it_works(
    trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, task = [], ConsoleTerminal.task
    monkeypatch.setattr(
        ConsoleTerminal, "task", lambda self, name, *rest: names.append(name) or task(self, name, *rest)
    )
    assert main(["sample", f"run={trained['replay']}", *SHORT, f"out={tmp_path / 's'}"]) == 0
    assert names[:2] == ["pilot run", "sample"]


def test_a_mode_that_the_base_does_not_reach_refuses_mixing_and_log_z(tmp_path: Path) -> None:
    # The base is fitted to short chains, all of which are in the first of two modes 30 standard deviations apart.
    words = ["energy=gaussian_mixture", "energy.means=[[0,0],[30,0]]", "energy.stds=[1,1]", "path=base", "threads=1"]
    assert main(["sample", *words, "chains=16", "steps=400", "thin=1", f"out={tmp_path / 's'}"]) == 0
    found = json.loads((tmp_path / "s" / "metrics.json").read_text())
    assert found["round_trips"]["value"] > 0
    assert found["mixing"]["verdict"] == "refused" and "minima that no chain has been near" in found["mixing"]["reason"]
    assert found["log_z"]["verdict"] == "refused" and found["mean"]["value"] is None


def test_round_trips_are_counted_after_the_burn_in(trained: dict[str, Path], tmp_path: Path) -> None:
    words = ["chains=4", "steps=1", "thin=1", "burn_in=60", "threads=1"]
    assert main(["sample", f"run={trained['replay']}", *words, f"out={tmp_path / 's'}"]) == 0
    found = json.loads((tmp_path / "s" / "metrics.json").read_text())
    # A step brings at most one state to each chain, and lets only every second pair of neighbors swap.
    assert found["round_trips"]["value"] <= 4 and found["barrier"]["verdict"] == "refused"
