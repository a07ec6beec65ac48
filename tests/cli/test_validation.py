"""Wrong input ends in exit code 2 and a line or two that name the thing, the bound and the nearest valid name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ebm_cli.cli import main

TINY = ["experiment=gaussians_8", "energy.width=8", "start.size=16", "trainer.batch_size=8", "objective.steps=2"]

# Command line and what its message must hold.
WRONG = {
    "misspelt verb": ("smaple energy=quadratic", ["smaple", "sample"]),
    "misspelt option": ("sample energy=quadratc", ["energy", "quadratc", "'quadratic'"]),
    "misspelt key": (
        "sample energy=double_well sampler=mala sampler.setp_size=1",
        ["sampler.setp_size", "sampler.step_size"],
    ),
    "misspelt group": ("sample energy=double_well smapler=mala", ["smapler", "sampler"]),
    "two mistakes at once": ("sample energy=quadratc smapler=mala", ["quadratc", "smapler"]),
    "negative step": (
        "sample energy=double_well sampler=mala sampler.step_size=-0.1",
        ["sampler.step_size must be > 0, got -0.1"],
    ),
    "text for a number": ("sample energy=double_well chains=many", ["chains must be a number", "many"]),
    "no chains": ("sample energy=double_well chains=0", ["chains must be >= 1, got 0"]),
    "thin beyond steps": ("sample energy=double_well steps=10 thin=20", ["thin must be <= steps"]),
    "comma without -m": ("sample energy=double_well sampler.temperature=1,2", ["-m"]),
    "not KEY=VALUE": ("sample energy=double_well verbose", ["verbose", "KEY=VALUE"]),
    "unclosed bracket": ("sample energy=double_well event=[2", ["event=[2"]),
    "no energy": ("sample", ["energy"]),
    "no shape": ("sample energy=quadratic", ["event"]),
    "shape that does not fit": ("sample energy=muller_brown event=[3]", ["event", "[2]", "[3]"]),
    "zero temperature for mala": (
        "sample energy=double_well sampler=mala sampler.temperature=0",
        ["sampler.temperature"],
    ),
    "a misspelt engine and a tree too deep": (
        "sample energy=double_well sampler=nuts sampler.max_depth=20 engine=compield",
        ["sampler.max_depth must be <= 15", "engine must be one of", "'compiled'"],
    ),
    "an engine that the kernel cannot have": (
        "sample energy=double_well sampler=nuts engine=compiled",
        ["engine=compiled needs a kernel whose steps are fixed"],
    ),
    "no room to adapt": ("sample energy=double_well adapt=step burn_in=50", ["burn_in must be >= 100", "got 50"]),
    "a path for another sampler": (
        "train sampler=sgld path.replicas=3",
        ["path.replicas is used only by"],
    ),
    "a path next to another sampler": (
        "sample energy=double_well sampler=hmc path=base",
        ["path is used only by sampler=tempering"],
    ),
    "a path that no metric uses": (
        "evaluate energy=double_well data=gaussians_8 metric=[mmd] sampler=hmc path=base",
        ["path is used only by sampler=tempering"],
    ),
    "the sampler of no run": ("sample energy=double_well sampler=of_run", ["sampler of a run: add run=RUN"]),
    "the path of no run": ("train path=of_run", ["path of a run: add init=RUN"]),
    "a path without chains": (
        "train path=base objective=score_matching",
        ["path is used only by objectives that move chains"],
    ),
    "a box without its base": ("train path=base path.box=[-3,3]", ["path.box is used only by path.base=box"]),
    "no renewal": ("train path=base path.renew_every=0", ["path.renew_every must be >= 1, got 0"]),
    "a kernel without a test": (
        "sample energy=double_well sampler.kernel=sgld",
        ["sampler.kernel must name one of hmc, mala, nuts, gibbs, gibbs_with_gradients, discrete_langevin, got sgld"],
    ),
    "no such kernel": ("sample energy=double_well sampler.kernel=hmcc", ["sampler.kernel must name one of", "'hmc'"]),
    "a ladder that falls": (
        "sample energy=double_well sampler=tempering path.temperatures=[1,4,2]",
        ["path.temperatures must be a rising list"],
    ),
    "an old key of another sampler": (
        "train sampler=sgld sampler.hottest=10",
        ["sampler.hottest was a key of sampler=tempering and is now called path.hottest"],
    ),
    "the old key of tuning": ("sample energy=double_well sampler.adapt=step", ["type adapt=step"]),
    "the old key of its target": ("train sampler=mala sampler.target=0.6", ["type target_accept=VALUE"]),
    "an unknown way of tuning": (
        "evaluate energy=double_well adapt=al",
        ["adapt must be one of auto, none"],
    ),
    "an acceptance of all": ("sample energy=double_well target_accept=1", ["target_accept must be in (0, 1), got 1"]),
    "burn-in in words": ("sample energy=double_well burn_in=many", ["burn_in must be auto or a whole number"]),
    "no budget": ("sample energy=double_well budget=0", ["budget must be >= 1, got 0"]),
    "unknown device": ("sample energy=double_well device=gpu", ["device", "gpu"]),
    "custom without target": ("sample energy=custom", ["energy._target_"]),
    "custom of no module": ("sample energy=custom energy._target_=nowhere.Ring", ["nowhere"]),
    "custom of no class": ("sample energy=custom energy._target_=torch.nn.Linaer", ["Linaer", "Linear"]),
    "missing run": ("sample run=outputs/none", ["outputs/none", "does not exist"]),
    "no run yet": ("sample run=latest", ["latest"]),
    "bad name": ("sample energy=double_well name=a/b", ["name", "a/b"]),
    "nothing to diagnose": ("diagnose", ["run"]),
    "missing chains": ("diagnose run=chains.npy", ["chains.npy"]),
    "energy and a network of images": ("train energy=conv data=gaussians_8", ["conv", "event must be (channels"]),
    "bad metric": ("evaluate energy=double_well metric=[frechett]", ["frechett", "frechet"]),
    "metric without data": ("evaluate energy=double_well metric=[mmd]", ["data"]),
    "bad method of log z": (
        "evaluate energy=double_well metric=[log_z] metric.log_z.method=qadrature",
        ["metric.log_z.method", "qadrature", "'quadrature'"],
    ),
    "likelihood without data": ("evaluate energy=double_well metric=[nll]", ["metric nll", "data=NAME"]),
    "resume with another key": ("train resume=RUN optimizer.lr=1", ["optimizer.lr", "init="]),
    "several wrong numbers": (
        "train data=gaussians_8 trainer.steps=0 optimizer.lr=-1",
        ["trainer.steps", "optimizer.lr"],
    ),
    "unknown completion": ("completion tcsh", ["bash"]),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained run."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    assert main(["train", *TINY, "trainer.steps=4", "trainer.checkpoint_every=2", f"out={folder}"]) == 0
    return folder


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_wrong_input_is_named_in_a_line_or_two_and_leaves_no_run(case, tmp_path, monkeypatch, capsys, trained):
    words, expected = WRONG[case]
    monkeypatch.chdir(tmp_path)
    assert main(words.replace("RUN", str(trained)).split()) == 2
    err = capsys.readouterr().err
    for word in expected:
        assert word in err
    assert "Traceback" not in err
    assert 1 <= len(err.strip().splitlines()) <= 3
    assert all(len(line) < 400 for line in err.splitlines())
    assert not list(tmp_path.glob("outputs/*/*/*"))


def test_half_a_chain_is_refused_by_name(tmp_path):
    # In a process of its own: here the type checker would speak first.
    words = [sys.executable, "-m", "ebm_cli", "sample", "energy=double_well", "chains=1.5"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: chains must be a whole number, got 1.5\n"


def test_a_truncated_checkpoint_is_named_with_the_steps_that_are_whole(tmp_path, monkeypatch, capsys, trained):
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    path = broken / "checkpoints" / "step-4" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert main(["sample", f"run={broken}"]) == 2
    err = capsys.readouterr().err
    assert "step-4 is damaged" in err
    assert len(err.strip().splitlines()) == 1


def test_resume_falls_back_to_the_newest_whole_checkpoint_and_says_so(tmp_path, monkeypatch, capsys, trained):
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    path = broken / "checkpoints" / "step-4" / "state.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert main(["train", f"resume={broken}"]) == 0
    assert "step-4 is damaged" in capsys.readouterr().err
    assert path.read_bytes() == whole


def test_a_damaged_config_is_named(tmp_path, monkeypatch, capsys, trained):
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    (broken / "config.yaml").write_text("energy: [")
    assert main(["sample", f"run={broken}"]) == 2
    assert "config.yaml is damaged" in capsys.readouterr().err


def test_a_folder_that_exists_is_not_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert main(["sample", "energy=double_well", "out=mine"]) == 2
    assert "out=mine exists already" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o500)
    assert main(["sample", "energy=double_well"]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", "energy=double_well", "out=/proc/nowhere/run"]) == 2
    err = capsys.readouterr().err
    assert "out=/proc/nowhere/run cannot be made" in err


def test_a_pickled_array_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("chains.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert main(["diagnose", "run=chains.npy"]) == 2
    assert "chains.npy" in capsys.readouterr().err
