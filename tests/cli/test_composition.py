"""Test compositions of trained runs on the command line: samples have the composed density, mistakes are named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from ebm_cli import load_run
from ebm_cli.assembly.assemble import assemble
from ebm_cli.assembly.components import Parts
from ebm_cli.chain import chain_file
from ebm_cli.cli import main
from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse
from ebm_cli.run.machine import resolve
from tests.contract import cell_masses, log_integral

TINY = [
    "energy.width=16",
    "energy.frequencies=4",
    "start.size=128",
    "trainer.batch_size=128",
    "trainer.steps=60",
    "trainer.checkpoint_every=30",
    "trainer.ema_decay=0.9",
    "objective.steps=2",
]
KERNEL = ["sampler=jump_mala", "sampler.step_size=0.03", "sampler.jump_probability=0.6", "sampler.jump_std=1.5"]
SHORT = ["chains=8", "steps=40", "thin=2", "burn_in=0"]
ALPHA, SHARE = 0.4, 0.25


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two trained runs at different temperatures, and a run with three coordinates."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "experiment=two_moons", *TINY, f"out={folder / 'a'}"]) == 0
    assert main(["train", "experiment=rings", "sampler.temperature=2", *TINY, f"out={folder / 'b'}"]) == 0
    three = ["data=gaussian", "data.dim=3", "energy=quadratic", "trainer.steps=2", "objective.steps=1"]
    assert main(["train", *three, "trainer.batch_size=8", f"out={folder / 'three'}"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, next to the folder ../runs."""
    (tmp_path / "runs").symlink_to(runs)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def composed(*words: str) -> Parts:
    """The parts of `ebm sample` under these words."""
    config = compose("sample", parse([*words, "device=cpu"]), Base())
    machine = resolve("cpu", config["dtype"], 1)
    with machine.activate():
        return assemble(config, machine)


def exact(name: str, runs: Path) -> Callable[[Tensor], Tensor]:
    """Return the log of the unnormalized composed density, computed from the two runs only."""
    a, b = load_run(runs / "a"), load_run(runs / "b")

    def log_a(x: Tensor) -> Tensor:
        return -a.energy(x.float()).double()

    def log_b(x: Tensor) -> Tensor:
        return -b.energy(x.float()).double() / 2.0

    if name == "product":
        return lambda x: log_a(x) + 0.5 * log_b(x)
    if name == "negation":
        return lambda x: log_a(x) - ALPHA * log_b(x)
    z_a, z_b = (log_integral(log_f, 2, 8.0, 201) for log_f in (log_a, log_b))
    log_weights = np.log([SHARE, 1 - SHARE])
    return lambda x: torch.logaddexp(log_a(x) - z_a + log_weights[0], log_b(x) - z_b + log_weights[1])


OPTIONS = {
    "product": ["energy.weights=[1,0.5]"],
    "mixture": [f"energy.weights=[{SHARE},{1 - SHARE}]"],
    "negation": [f"energy.alpha={ALPHA}"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_samples_have_the_composed_density(name: str, runs: Path) -> None:
    words = [f"energy={name}", "energy.runs=[../runs/a,../runs/b]", *OPTIONS[name], *KERNEL]
    assert main(["sample", *words, "chains=5000", "steps=300", "burn_in=100", "thin=150", "out=drawn"]) == 0
    # Two draws per chain. Between them the chain tries about ninety jumps.
    x = chain_file.read(Path("drawn/chains.nc")).x.reshape(-1, 2)
    edges, n = np.linspace(-4, 4, 10), len(x)
    log_f = exact(name, runs)
    p = cell_masses(log_f, edges)
    # The mass outside the box is one more cell.
    p = np.append(p.ravel(), 0.0) / np.exp(log_integral(log_f, 2, 10.0, 401))
    p[-1] = max(1 - p.sum(), 0.0)
    counts = np.histogram2d(x[:, 0], x[:, 1], [edges, edges])[0].ravel()
    q = np.append(counts, n - counts.sum()) / n
    # What independent draws would show: ½ Σ E|q − p| with q − p about normal.
    noise = 0.5 * np.sqrt(2 * p * (1 - p) / (np.pi * n)).sum()
    assert noise < 0.04
    assert 0.5 * np.abs(p - q).sum() < 0.08


def test_a_mixture_of_runs_is_normalised(here: Path) -> None:
    words = ["energy=mixture", "energy.runs=[../runs/a,../runs/b]", "metric=[log_z]", "out=scored"]
    assert main(["evaluate", *words]) == 0
    row = json.loads((here / "scored/metrics.json").read_text())["log_z"]
    assert row["verdict"] == "ok"
    assert row["value"] == pytest.approx(0.0, abs=1e-4)


def test_runs_named_from_one_folder_are_found_from_another(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["sample", "energy=product", "energy.runs=[../runs/a,../runs/b]", *SHORT, "out=drawn"]) == 0
    (here / "deeper" / "still").mkdir(parents=True)
    monkeypatch.chdir(here / "deeper" / "still")
    assert main(["diagnose", f"run={here / 'drawn'}", "diagnostic=[ess]"]) == 0


def test_latest_is_the_newest_training_run(here: Path, runs: Path) -> None:
    shutil.copytree(runs / "a", here / "outputs/train/2026-01-01/00-00-00-a")
    assert main(["sample", "energy=product", "energy.runs=[latest,../runs/b]", *SHORT, "out=drawn"]) == 0
    assert "outputs/train/2026-01-01/00-00-00-a" in (here / "drawn/config.yaml").read_text()


def test_parts_have_the_weights_and_the_checkpoint_that_are_asked_for(runs: Path) -> None:
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    words = ["energy=product", f"energy.runs=[{runs / 'a'},{runs / 'b'}]"]
    for keys in ({}, {"weights": "raw"}, {"checkpoint": "30"}):
        weights, checkpoint = keys.get("weights", "averaged"), keys.get("checkpoint", "last")
        a, b = (load_run(runs / name, checkpoint, weights).energy(x) for name in "ab")
        torch.testing.assert_close(composed(*words, *(f"{k}={v}" for k, v in keys.items())).energy(x), a + b / 2)


def test_parts_compute_in_the_number_type_of_the_composition(runs: Path) -> None:
    parts = composed(
        "energy=mixture", f"energy.runs=[{runs / 'a'},{runs / 'b'}]", "energy.unnormalised=true", "dtype=float64"
    )
    assert {p.dtype for p in parts.energy.parameters()} == {torch.float64}


def test_a_composition_can_be_trained_on_and_opened_again(runs: Path) -> None:
    words = ["energy=product", "energy.runs=[../runs/a,../runs/b]", "data=two_moons", "trainer.steps=2"]
    assert main(["train", *words, "trainer.batch_size=8", "objective.steps=1", "out=tuned"]) == 0
    loaded = load_run("tuned")
    x = torch.zeros(1, 2)
    before = composed("energy=product", f"energy.runs=[{runs / 'a'},{runs / 'b'}]").energy(x)
    assert not torch.equal(loaded.energy(x), before)
    assert main(["sample", "run=tuned", "checkpoint='2'", "sampler=of_run", *SHORT, "out=drawn"]) == 0


def broken_config(run: Path) -> None:
    (run / "config.yaml").write_text("energy: [")


def half_a_config(run: Path) -> None:
    (run / "config.yaml").write_text("made: {verb: train}\nseed: 0\n")


def broken_checkpoint(run: Path) -> None:
    path = run / "checkpoints/step-60/state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def no_checkpoint(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


WRONG = {
    "no runs": ("energy=product", ["energy.runs must be given"]),
    "one run": ("energy=product energy.runs=[A]", ["energy.runs must name at least two runs, got 1"]),
    "no list": ("energy=product energy.runs=A", ["energy.runs must be a list of training runs' folders", "'A'"]),
    "a missing run": ("energy=product energy.runs=[A,../runs/c]", ["energy.runs=../runs/c does not exist"]),
    "no latest": ("energy=product energy.runs=[A,latest]", ["energy.runs=latest: there is no run of ebm train"]),
    "shapes": ("energy=product energy.runs=[A,THREE]", ["energy.runs must be of one event shape", "[2]", "[3]"]),
    "too few weights": ("energy=product energy.runs=[A,B] energy.weights=[1]", ["energy.weights", "2 in all", "[1]"]),
    "a negative weight": (
        "energy=mixture energy.unnormalised=true energy.runs=[A,B] energy.weights=[1,-1]",
        ["energy.weights must be > 0"],
    ),
    "no temperature": (
        "energy=product energy.runs=[A,B] energy.temperatures=[1,0]",
        ["energy.temperatures must be > 0"],
    ),
    "alpha of one": ("energy=negation energy.runs=[A,B] energy.alpha=1", ["energy.alpha must be in (0, 1), got 1"]),
    "improper": (
        "energy=negation energy.runs=[A,B] energy.temperatures=[9,1]",
        ["energy.runs: this combination is not normalizable", "increase confinement"],
    ),
    "three runs": ("energy=negation energy.runs=[A,B,A]", ["energy.runs must name two runs", "got 3"]),
    "no data to start at": (
        "energy=product energy.runs=[A,B] start=data",
        ["data must be chosen for chains that start at its samples"],
    ),
    "another event": ("energy=product energy.runs=[A,B] event=[3]", ["[2]", "[3]"]),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_a_wrong_composition_is_one_line_and_leaves_no_folder(case: str, here: Path, capsys) -> None:
    words, expected = WRONG[case]
    for name in ("A", "B", "THREE"):
        words = words.replace(f"[{name}", f"[../runs/{name.lower()}").replace(f",{name}", f",../runs/{name.lower()}")
    assert main(["sample", *words.split()]) == 2
    one_line(capsys, expected)
    assert not list(here.glob("outputs/*/*/*"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (broken_config, "config.yaml is damaged"),
        (half_a_config, "its config.yaml lacks energy"),
        (no_checkpoint, "has no checkpoints/last"),
        (broken_checkpoint, "step-60 is damaged"),
    ],
)
def test_a_damaged_run_is_named(spoil: Callable[[Path], None], expected: str, here: Path, runs: Path, capsys) -> None:
    shutil.copytree(runs / "a", here / "spoilt")
    spoil(here / "spoilt")
    assert main(["sample", "energy=product", "energy.runs=[../runs/b,spoilt]"]) == 2
    one_line(capsys, [expected, "spoilt"])
    assert not list(here.glob("outputs/*/*/*"))


def test_an_unnormalised_mixture_says_so(capsys) -> None:
    words = ["energy=mixture", "energy.runs=[../runs/a,../runs/b]", "energy.unnormalised=true"]
    assert main(["sample", *words, *SHORT, "out=drawn"]) == 0
    captured = capsys.readouterr()
    assert "mixture: unnormalized" in captured.out + captured.err


def one_line(capsys: pytest.CaptureFixture[str], expected: list[str]) -> None:
    err = capsys.readouterr().err
    for word in expected:
        assert word in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    assert len(err) < 400


def test_a_sweep_keeps_the_runs_that_were_latest_when_it_was_planned(runs: Path, here: Path) -> None:
    folder = here / "outputs/train/2026-01-01/a"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(runs / "a")
    words = ["energy=product", "energy.runs=[latest,../runs/b]", "sampler=mala", *SHORT, "seed=0,1"]
    assert main(["sample", "-m", *words, "out=sweep"]) == 0
    jobs = yaml.safe_load((here / "sweep/sweep.yaml").read_text())["jobs"]
    assert len(jobs) == 2
    for job in jobs:
        (word,) = (word for word in job if word.startswith("energy.runs="))
        assert word.startswith(f"energy.runs=[{folder},") and word.endswith("runs/b]")
