"""Test the four verbs against interface.md, including files and exit codes."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from ebm_cli import load_run
from ebm_cli.cli import main
from ebm_cli.cli.launch import prepare
from ebm_cli.cli.words import parse

pytestmark = pytest.mark.usefixtures("here")

TINY = [
    "experiment=gaussians_8",
    "energy.width=8",
    "start.size=64",
    "trainer.batch_size=16",
    "objective.steps=3",
    "trainer.log_every=1",
    "trainer.checkpoint_every=5",
]
EBM = [sys.executable, "-m", "ebm_cli"]


def last_line(capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder that a verb prints last on stdout."""
    return Path(capsys.readouterr().out.strip().splitlines()[-1])


def rows(folder: Path) -> list[dict]:
    """metrics.jsonl without wall-clock time."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


def state(folder: Path) -> bytes:
    """The last checkpoint's tensors."""
    name = (folder / "checkpoints" / "last").read_text().strip()
    return (folder / "checkpoints" / name / "state.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps with a checkpoint every five steps. All keep their buffers because rollback is on."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["train", *TINY, "trainer.steps=20", "trainer.on_divergence=rollback", f"out={folder}"]) == 0
    return folder


@pytest.mark.figures
def test_train_sample_evaluate_diagnose_leave_the_promised_files(capsys):
    assert main(["train", *TINY, "trainer.steps=10"]) == 0
    trained = last_line(capsys)
    assert trained.parent.parent.name == "train"
    for name in ("config.yaml", "metrics.json", "metrics.jsonl", "checkpoints/last", "report.html"):
        assert (trained / name).exists(), name
    assert list(trained.glob("events.out.tfevents.*"))
    metrics = json.loads((trained / "metrics.json").read_text())
    assert {"steps", "loss", "e_data", "e_model", "steps_per_second", "gradients_per_second"} == set(metrics)
    assert main(["sample", "run=latest", "chains=8", "steps=40", "burn_in=0", "thin=2"]) == 0
    sampled = last_line(capsys)
    for name in ("chains.nc", "samples.npy", "samples.png", "metrics.json", "report.html"):
        assert (sampled / name).exists(), name
    assert np.load(sampled / "samples.npy").shape == (8, 2)
    metrics = json.loads((sampled / "metrics.json").read_text())
    assert set(metrics) >= {"mean", "std", "energy", "acceptance", "ess_bulk_min", "r_hat_max", "mixing"}
    metrics = ["metric=[distance_to_truth,mmd]", "metric.distance_to_truth.resolution=100"]
    assert main(["evaluate", f"run={trained}", "samples=50", "steps=5", *metrics]) == 0
    of_chains = {"mixing", "barrier", "swap_rate_min", "round_trips", "round_trip_rate", "chains_without_round_trip"}
    tuned = {"betas", "step_factors"}
    assert set(json.loads((last_line(capsys) / "metrics.json").read_text())) == {"kl", "tv", "mmd"} | of_chains | tuned
    assert main(["diagnose", "run=latest/sample"]) == 0
    diagnosed = json.loads((last_line(capsys) / "metrics.json").read_text())
    assert set(diagnosed) >= {"mixing", "ess_bulk_min", "iat_max", "r_hat_max", "self_transition"}
    assert "effective_temperature" in diagnosed
    page = (trained / "report.html").read_text()
    assert all(f"ebm {verb}" in page for verb in ("sample", "evaluate", "diagnose"))


def test_a_resumed_run_ends_on_the_bits_of_one_never_stopped(whole: Path):
    # A kill after step 10 leaves later lines in the log, and half a line at its end.
    parts = Path("parts")
    shutil.copytree(whole, parts)
    (parts / "checkpoints" / "last").write_text("step-10\n")
    with (parts / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "lo')
    assert main(["train", "resume=parts"]) == 0
    assert state(parts) == state(whole)
    assert rows(parts) == rows(whole)


def test_extending_a_run_equals_a_longer_run_of_the_same_schedule():
    schedule = ["optimizer.decay_at=10"]
    assert main(["train", *TINY, *schedule, "trainer.steps=15", "out=long"]) == 0
    assert main(["train", *TINY, *schedule, "trainer.steps=10", "out=short"]) == 0
    assert main(["train", "resume=short", "trainer.steps=15"]) == 0
    assert state(Path("short")) == state(Path("long"))


def test_the_seed_alone_decides_what_is_trained_not_logging_or_checkpoints():
    often = ["trainer.log_every=7", "trainer.checkpoint_every=3"]
    for name, words in {"a": ["seed=1"], "b": ["seed=1"], "c": ["seed=2"], "d": ["seed=1", *often]}.items():
        assert main(["train", *TINY, "trainer.steps=10", *words, f"out={name}"]) == 0
    assert state(Path("a")) == state(Path("b")) != state(Path("c"))
    a, d = (load_run(name).energy.state_dict() for name in ("a", "d"))
    assert all(bool((a[key] == d[key]).all()) for key in a)


def test_dropout_is_resumed_on_the_same_bits():
    words = [
        "experiment=gaussians_8",
        "energy=autoencoder",
        "energy.width=8",
        "energy.dropout=0.3",
        "start.size=64",
        "objective.steps=2",
        "trainer.batch_size=16",
        "trainer.checkpoint_every=5",
        "trainer.on_divergence=rollback",
    ]
    assert main(["train", *words, "trainer.steps=10", "out=whole"]) == 0
    shutil.copytree("whole", "parts")
    Path("parts/checkpoints/last").write_text("step-5\n")
    assert main(["train", "resume=parts"]) == 0
    assert state(Path("parts")) == state(Path("whole"))


def test_init_starts_a_new_run_from_the_weights_of_another(whole: Path):
    assert main(["train", f"init={whole}", "trainer.steps=1", "optimizer.lr=1e-12", "optimizer.warmup=0", "out=b"]) == 0
    a, b = (load_run(name).energy.state_dict() for name in (whole, "b"))
    assert all(np.allclose(a[key], b[key], atol=1e-6) for key in a)
    assert yaml.safe_load(Path("b/config.yaml").read_text())["energy"]["width"] == 8


def test_a_group_that_is_named_replaces_the_recipes_whole():
    config = prepare("train", parse([*TINY, "sampler=sghmc", "adapt=none"])).config
    assert config["sampler"]["step_size"] == 0.01
    assert set(config["sampler"]) == {"_target_", "step_size", "friction", "temperature", "scales"}


def test_sampling_takes_the_runs_own_sampler_with_one_key_edited_and_its_buffer(whole: Path):
    words = ["sampler=of_run", "sampler.temperature=0.5", "start=replay", "chains=4", "steps=8", "thin=1", "burn_in=0"]
    assert main(["sample", f"run={whole}", *words, "out=b"]) == 0
    config = yaml.safe_load(Path("b/config.yaml").read_text())
    trained = yaml.safe_load((whole / "config.yaml").read_text())
    assert config["sampler"] == trained["sampler"] | {"temperature": 0.5}
    assert config["start"] == trained["start"]


def test_a_sweep_continues_after_a_failure_and_writes_a_table_a_csv_and_a_picture(capsys):
    words = [
        "energy=double_well",
        "sampler=sgld",
        "sampler.step_size=0.01,9",
        "chains=4",
        "steps=20",
        "thin=1",
        "out=s",
    ]
    assert main(["sample", "-m", *words]) == 1
    out, err = capsys.readouterr()
    assert "sampler.step_size" in out
    assert "failed" in err
    assert Path(out.strip().splitlines()[-1]) == Path("s").absolute()
    lines = Path("s/sweep.csv").read_text().splitlines()
    assert len(lines) == 3
    assert "became not finite" in lines[2]
    assert Path("s/sweep.png").exists()


def test_a_sweep_that_was_cut_short_is_finished_by_resume(capsys):
    words = ["energy=double_well", "sampler.temperature=1,2", "chains=4", "steps=4", "burn_in=0", "thin=1", "out=s"]
    assert main(["sample", "-m", *words]) == 0
    first = Path("s/0/metrics.json").stat().st_mtime_ns
    for path in Path("s/1").rglob("*"):
        if path.is_file():
            path.unlink()
    assert main(["sample", "resume=s"]) == 0
    assert Path("s/1/metrics.json").exists()
    assert Path("s/0/metrics.json").stat().st_mtime_ns == first


def test_divergence_stops_at_once_keeps_the_last_good_checkpoint_and_says_what_helps(capsys):
    # Unadjusted chains: a test that rejects whatever is not finite would survive this.
    rate = ["optimizer.lr=1e6", "optimizer.warmup=0", "optimizer.clip=null"]
    words = [*TINY, "sampler=sgld", "trainer.steps=40", *rate, "out=a"]
    assert main(["train", *words]) == 1
    err = capsys.readouterr().err
    assert "diverged at step" in err
    assert "usually helps" in err
    assert "diverged" in Path("a/failure.txt").read_text()
    if Path("a/checkpoints/last").exists():
        weights = load_run("a", weights="raw").energy.state_dict()
        assert all(np.isfinite(w).all() for w in weights.values())


def test_all_chains_broken_is_a_failure_that_names_the_first(capsys):
    assert main(["sample", "energy=double_well", "sampler=sgld", "sampler.step_size=9.0", "steps=50"]) == 1
    assert "all 64 chains became not finite" in capsys.readouterr().err


def test_a_users_own_class_is_used_from_the_current_folder():
    Path("ring.py").write_text(
        "import torch\n\n\nclass Ring(torch.nn.Module):\n"
        "    def __init__(self, radius):\n        super().__init__()\n        self.radius = radius\n\n"
        "    def forward(self, x):\n        return 5 * (x.norm(dim=1) - self.radius) ** 2\n"
    )
    words = ["energy=custom", "energy._target_=ring.Ring", "+energy.radius=2.0", "event=[2]", "chains=32"]
    words += ["sampler=mala", "steps=500", "burn_in=300", "out=r"]
    assert main(["sample", *words]) == 0
    del sys.modules["ring"]
    radius = np.linalg.norm(np.load("r/samples.npy"), axis=1)
    assert abs(radius.mean() - 2.0) < 0.3


def test_a_users_own_conf_folder_is_searched_after_ours(capsys):
    folder = Path("conf/energy")
    folder.mkdir(parents=True)
    (folder / "steep.yaml").write_text("_target_: ebm_cli.energy.double_well.DoubleWell\nbarrier: 9.0\ntilt: 0.0\n")
    (folder / "double_well.yaml").write_text("_target_: nowhere.Nothing\n")
    assert main(["sample", "energy=steep", "chains=4", "steps=8", "burn_in=0", "thin=1", "out=a"]) == 0
    assert main(["sample", "energy=double_well", "chains=4", "steps=8", "burn_in=0", "thin=1", "out=b"]) == 0


def test_ctrl_c_finishes_the_step_saves_and_leaves_a_resumable_run(here):
    words = ["train", *TINY, "trainer.steps=100000", "trainer.checkpoint_every=100000", "out=a"]
    process = subprocess.Popen([*EBM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (here / "a" / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "resume=" in err
    assert "Traceback" not in err
    assert out.strip().splitlines()[-1] == str(here / "a")
    step = rows(here / "a")[-1]["step"]
    assert (here / "a" / "checkpoints" / f"step-{step}").is_dir()
    assert main(["train", "resume=a", f"trainer.steps={step + 2}"]) == 0


@pytest.fixture
def signals() -> Iterator[None]:
    """What a verb sets up for signals ends with the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def signal_at(patch: pytest.MonkeyPatch, module: str, name: str, sent: int, call: int = 1) -> None:
    """Send this process a signal as a verb comes to a function for the given time."""
    own, left = getattr(importlib.import_module(module), name), [call]

    def signalled(*args, **more):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), sent)
        return own(*args, **more)

    patch.setattr(f"{module}.{name}", signalled)


@pytest.mark.usefixtures("signals")
def test_sigterm_finishes_the_step_saves_and_leaves_a_resumable_run(here, monkeypatch, capsys):
    signal_at(monkeypatch, "ebm_cli.training.loop", "step", signal.SIGTERM, call=3)
    words = ["train", *TINY, "trainer.steps=50", "trainer.checkpoint_every=50", "out=a"]
    assert main(words) == 143
    out, err = capsys.readouterr()
    assert "resume=" in err and "Traceback" not in err
    assert out.strip().splitlines()[-1] == str(here / "a")
    assert [row["step"] for row in rows(here / "a") if "loss" in row] == [1, 2, 3]
    assert (here / "a" / "checkpoints" / "step-3").is_dir()
    assert main(["train", "resume=a", "trainer.steps=5"]) == 0
    assert main(["train", *TINY, "trainer.steps=5", "trainer.checkpoint_every=50", "out=b"]) == 0
    assert state(here / "a") == state(here / "b")


@pytest.mark.usefixtures("signals")
def test_a_signal_while_log_z_is_sought_keeps_what_was_found(here, monkeypatch, capsys):
    signal_at(monkeypatch, "ebm_cli.partition.refinement", "run_round", signal.SIGINT, call=2)
    monkeypatch.setattr("ebm_cli.cli.console.LINE_SECONDS", 0.1)
    words = ["evaluate", "energy=phi4", "event=[16]", "metric=[log_z]", "budget=100000000", "target=1e-9", "out=a"]
    # The signal comes after the first round; the target is out of reach.
    words += ["metric.log_z.chains=16", "metric.log_z.temperatures=50"]
    assert main(words) == 130
    err = capsys.readouterr().err
    assert "log Z, gradients" in err and "Traceback" not in err
    found = json.loads((here / "a" / "metrics.json").read_text())["log_z"]
    assert found["value"] is not None and "stopped after" in found["reason"] and found["verdict"] == "caution"


def test_nll_every_logs_brackets_and_ranks_checkpoints_by_them(here):
    words = [*TINY, "trainer.steps=4", "trainer.nll_every=2", "trainer.checkpoint_every=100", "trainer.keep=1"]
    assert main(["train", *words, "out=a"]) == 0
    measured = {line["step"]: line for line in rows(here / "a") if "nll" in line}
    assert list(measured) == [2, 4]
    assert all(line["nll_lower"] <= line["nll"] <= line["nll_upper"] for line in measured.values())
    best = min(measured, key=lambda step: measured[step]["nll_upper"])
    assert (here / "a" / "checkpoints" / "best").read_text().strip() == f"step-{best}"
    # What is measured changes nothing that is trained.
    assert main(["train", *TINY, "trainer.steps=4", "out=b"]) == 0
    assert state(here / "a") == state(here / "b")


def test_a_run_in_use_is_not_resumed_by_another_process(whole: Path, capsys):
    import fcntl

    shutil.copytree(whole, "a")
    handle = os.open("a", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert main(["train", "resume=a", "trainer.steps=22"]) == 2
    assert "in use" in capsys.readouterr().err
    os.close(handle)
    assert main(["train", "resume=a", "trainer.steps=22"]) == 0


def test_a_table_is_found_again_from_another_folder(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    np.save("mine.npy", random.normal(size=(50, 3)))
    words = ["data=table", "data.path=mine.npy", "energy.width=8", "objective.steps=1", "trainer.steps=2"]
    assert main(["train", *words, "trainer.batch_size=8", "out=a"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["sample", f"run={tmp_path / 'a'}", "chains=4", "steps=8", "burn_in=0", "thin=1", "out=b"]) == 0
    assert Path("b/samples.csv").read_text().splitlines()[0] == "x0,x1,x2"
