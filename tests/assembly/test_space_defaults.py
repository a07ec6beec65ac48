"""Defaults that do not work on the states of the energy are replaced by name; what was typed is refused."""

from pathlib import Path

import pytest
import yaml

from ebm_cli.cli import main

QUICK = ["threads=1", "seed=0", "chains=16", "steps=40", "burn_in=5", "thin=2", "out=run"]
TRAINING = ["trainer.steps=20", "trainer.batch_size=16", "start.size=32", "objective.steps=1", "threads=1", "seed=0"]


def stored(here: Path, name: str = "run") -> dict:
    return yaml.safe_load((here / name / "config.yaml").read_text())


def test_gibbs_takes_the_place_of_the_default_at_its_temperature(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sample", "energy=ising", "event=[4,4]", "sampler.temperature=3.0", *QUICK]) == 0
    lines = "".join(capsys.readouterr())
    reason = "sampler=tempering works on continuous and periodic states; energy=ising has spin states"
    assert f"sampler: gibbs, because {reason}" in lines
    node = stored(here)["sampler"]
    assert node["_target_"].endswith("gibbs.Gibbs") and node["temperature"] == 3.0


def test_a_typed_sampler_is_refused_with_those_that_fit(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sample", "energy=ising", "sampler=mala", *QUICK]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "sampler=mala works on continuous and periodic states; energy=ising has spin states" in line
    assert "gibbs" in line and "wolff" in line and not list(here.glob("run"))


@pytest.mark.parametrize(("energy", "sampler"), [("rbm", "Gibbs"), ("mlp", "GibbsWithGradients")])
def test_training_on_binary_rows_takes_a_sampler_that_the_energy_allows(energy: str, sampler: str, here: Path) -> None:
    words = ["train", f"energy={energy}", "data=digits_binary", "experiment=null", *TRAINING, "out=trained"]
    assert main(words) == 0
    assert stored(here, "trained")["sampler"]["_target_"].endswith(f".{sampler}")
    # It is the sampler of the run.
    assert main(["sample", "run=trained", *QUICK]) == 0
    assert stored(here)["sampler"]["_target_"].endswith(f".{sampler}")


def test_a_recipes_regularizer_that_does_not_fit_is_left_out_by_name(here: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["train", "experiment=digits", "data=digits_binary", "energy=rbm", *TRAINING, "out=trained"]
    assert main(words) == 0
    lines = "".join(capsys.readouterr())
    assert "left out: regularizer=" in lines
    assert set(stored(here, "trained")["regularizer"]) <= {"energy_magnitude"}


@pytest.mark.parametrize("kernel", [[], ["sampler.kernel=gibbs_with_gradients"]], ids=["open", "typed"])
def test_replica_exchange_on_discrete_states_takes_a_kernel_for_them(kernel: list[str], here: Path) -> None:
    words = ["sample", "energy=ising", "event=[3,3]", "sampler=tempering", "path.replicas=3", *kernel, *QUICK]
    assert main(words) == 0
    target = stored(here)["sampler"]["kernel"]["_target_"]
    assert target.endswith("GibbsWithGradients" if kernel else "gibbs.Gibbs")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["path=rates", "sampler.kernel.leapfrog_steps=3"], "sampler.kernel"),
        (["trainer.track=replicas"], "trainer.track=replicas needs continuous states"),
    ],
)
def test_what_training_cannot_do_on_discrete_states_is_refused_in_one_line(
    words: list[str], problem: str, here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "energy=rbm", "data=digits_binary", *words, *TRAINING, "out=trained"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert problem in line


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words", ["energy=double_well sampler.kernel=nuts path.replicas=2", "energy=ising event=[2,3]"]
)
def test_long_runs_of_samplers_without_fixed_steps_are_eager(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class of replica exchange has fixed steps, but not with every kernel."""
    monkeypatch.setattr("ebm_cli.chain.engine.MIN_STEPS_TO_COMPILE", 10)
    monkeypatch.setattr("ebm_cli.chain.engine.has_compiler", lambda: True)
    assert main(["sample", "sampler=tempering", *words.split(), *QUICK]) == 0
