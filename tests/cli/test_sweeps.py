"""Test sweeps that are interrupted, resumed elsewhere or started twice: they end in a correct table or one message."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import yaml

from ebm_cli.chain import chain_file
from ebm_cli.cli import main
from ebm_cli.cli.job import Job
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.sweep import compose_jobs, write_table
from ebm_cli.cli.sweep_plan import Plan, create_sweep, new_plan, reopen
from ebm_cli.cli.words import parse
from ebm_cli.run import folder as run
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.folder import Run
from tests.contract import sweep_rows
from tests.report.read_page import texts

pytestmark = pytest.mark.usefixtures("here")

SHORT = ["chains=2", "steps=4", "thin=1", "burn_in=0"]
TRAIN = ["trainer.batch_size=8", "start.size=16", "objective.steps=1", "energy.width=8"]
EBM = [sys.executable, "-m", "ebm_cli"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained run."""
    folder = tmp_path_factory.mktemp("runs") / "r"
    assert main(["train", "data=gaussians_8", "experiment=null", *TRAIN, "trainer.steps=2", f"out={folder}"]) == 0
    return folder


def resumed(verb: str, folder: Path) -> list[Job]:
    """The jobs that `resume=` of a sweep would run, composed where the sweep was planned."""
    plan = reopen(verb, parse([f"resume={folder}"]), folder)
    with chdir(plan.cwd):
        return compose_jobs(plan)


@pytest.mark.slow
def test_a_job_that_was_interrupted_is_run_again(here: Path) -> None:
    steps = 40000
    words = ["sample", "-m", "energy=double_well", "sampler.temperature=1,2", f"steps={steps}", "chains=64", "thin=100"]
    process = subprocess.Popen([*EBM, *words, "engine=eager", "out=s"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (here / "s" / "0" / "config.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    cut = Run(here / "s" / "0")
    assert not cut.is_finished()
    # Shorter than planned, unless the machine was faster than the signal.
    if (cut.folder / "chains.nc").exists():
        assert chain_file.read(cut.folder / "chains.nc").x.shape[1] < steps // 100
    plan = yaml.safe_load((here / "s" / "sweep.yaml").read_text())
    plan["jobs"] = [[word.replace(str(steps), "2000") for word in line] for line in plan["jobs"]]
    (here / "s" / "sweep.yaml").write_text(stored.dump(plan))
    assert main(["sample", "resume=s"]) == 0
    for number in "01":
        assert chain_file.read(here / "s" / number / "chains.nc").x.shape[:2] == (64, 20)
    assert [row["status"] for row in sweep_rows(here / "s")] == ["done", "done"]


def test_a_kill_at_any_moment_leaves_a_job_that_is_not_done(here: Path) -> None:
    assert main(["sample", "-m", "energy=double_well", "sampler.temperature=1,2", *SHORT, "out=s"]) == 0
    cut = Run(here / "s" / "0")
    before = json.loads((cut.folder / "metrics.json").read_text())
    # As a kill between the numbers and the report leaves it.
    cut.begin()
    assert main(["sample", "resume=s"]) == 0
    assert Run(here / "s" / "0").is_finished()
    assert (here / "s" / "0-failed-1").is_dir()
    assert json.loads((here / "s" / "0" / "metrics.json").read_text()) == before


def test_a_row_says_that_its_job_was_stopped(here: Path) -> None:
    assert main(["sample", "-m", "energy=double_well", "sampler.temperature=1,2", *SHORT, "out=s"]) == 0
    Run(here / "s" / "1").begin()
    lines = yaml.safe_load((here / "s" / "sweep.yaml").read_text())["jobs"]
    write_table(here / "s", Plan("sample", ["sampler.temperature"], lines, here))
    rows = sweep_rows(here / "s")
    assert [row["status"] for row in rows] == ["done", "stopped"]
    assert rows[0]["acceptance_value"] and not rows[1]["acceptance_value"]
    assert "stopped before it was done" in rows[1]["reason"]


def two_folders(here: Path) -> None:
    """A and B, each with a file of the same name and another mean."""
    for name, mean in (("A", 0.0), ("B", 1000.0)):
        (here / name).mkdir()
        rows = np.random.default_rng(0).normal(mean, 1, (60, 2))
        np.savetxt(here / name / "my.csv", rows, delimiter=",", header="u,v", comments="")


def test_a_sweep_resumed_elsewhere_uses_the_first_folders_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_folders(here)
    monkeypatch.chdir(here / "A")
    words = ["data=table", "data.path=my.csv", "seed=0,1", "trainer.steps=1", *TRAIN]
    folder = create_sweep(new_plan("train", parse(words)), parse(["out=../S"]))
    monkeypatch.chdir(here / "B")
    assert main(["train", f"resume={folder}"]) == 0
    assert Path.cwd() == here / "B"
    for number in "01":
        assert Run(folder / number).config()["data"]["path"] == str(here / "A" / "my.csv")
    # Where the first folder is gone, its files are not looked for here.
    shutil.rmtree(folder / "1")
    (here / "A").rename(here / "C")
    assert main(["train", f"resume={folder}"]) == 2
    assert not (folder / "1").exists()


def test_runs_that_a_sweep_names_are_found_from_elsewhere(here: Path, trained: Path, monkeypatch) -> None:
    (here / "A").mkdir()
    (here / "B").mkdir()
    (here / "A" / "r").symlink_to(trained)
    words = {"sample": ["run=r", *SHORT], "train": ["init=r"], "evaluate": ["energy=product", "energy.runs=[r,r]"]}
    for verb, line in words.items():
        monkeypatch.chdir(here / "A")
        folder = create_sweep(new_plan(verb, parse([*line, "seed=0,1"])), parse([f"out={here / verb}"]))
        monkeypatch.chdir(here / "B")
        for job in resumed(verb, folder):
            if verb == "evaluate":
                assert job.config["energy"]["runs"] == [str(here / "A" / "r")] * 2
            else:
                assert job.config["run" if verb == "sample" else "init"] == str(here / "A" / "r")


def test_a_sweep_in_use_is_not_resumed_and_no_folder_is_renamed(here: Path, capsys) -> None:
    assert main(["sample", "-m", "energy=double_well", "sampler.temperature=1,2", *SHORT, "out=s"]) == 0
    Run(here / "s" / "1").begin()
    names = sorted(path.name for path in (here / "s").iterdir())
    for place in (here / "s", here / "s" / "1"):
        handle = os.open(place, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        capsys.readouterr()
        assert main(["sample", "resume=s"]) in (1, 2)
        err = capsys.readouterr().err
        assert "is in use by another ebm" in err and str(place) in err and "Traceback" not in err
        assert sorted(path.name for path in (here / "s").iterdir()) == names
        os.close(handle)
    assert main(["sample", "resume=s"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["energy=double_well", "~run", "++steps=10,20"],
        ["energy=double_well", "sampler.temperature=1,2", "name=null"],
        ["energy=double_well", "start=noise", "start.distribution=normal,uniform"],
    ],
    ids=" ".join,
)
def test_sweep_over_any_key_ends_in_a_table(words: list[str], here: Path) -> None:
    assert main(["sample", "-m", *words, *SHORT, "out=s"]) == 0
    rows = sweep_rows(here / "s")
    assert len(rows) >= 2 and all(row["status"] == "done" for row in rows)
    assert (here / "s" / "report.html").exists() and (here / "s" / "sweep.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["energy=double_well,muller_brown", "+energy.extra=1"],
        ["energy=quadratic", "event=[2],[3]", "+sampler.extra=1,2"],
    ],
    ids=" ".join,
)
def test_sweep_over_a_key_that_no_class_takes_is_an_error_without_a_folder(
    words: list[str], here: Path, capsys
) -> None:
    assert main(["sample", "-m", *words, *SHORT, "out=s"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and "report it" not in err and "error:" in err and ".extra" in err
    assert not (here / "s").exists()


def test_members_of_several_shapes_share_a_picture(here: Path) -> None:
    words = ["energy=double_well,funnel", "sampler=mala,sgld", *SHORT, "out=s"]
    assert main(["sample", "-m", *words]) == 0
    rows = sweep_rows(here / "s")
    assert len(rows) == 4 and all(row["acceptance_verdict"] and row["status"] == "done" for row in rows)
    # Four steps cannot show that chains are mixed: mean, standard deviation and energy are under caution.
    verdicts = [{row[f"{name}_verdict"] for name in ("mean", "std", "energy")} for row in rows]
    assert all(len(each) == 1 and "ok" not in each for each in verdicts)
    assert (here / "s" / "sweep.png").exists()
    mixed = ["chains=16", "steps=300", "burn_in=100", "thin=1", "sampler.leapfrog_steps=5"]
    assert main(["sample", "-m", "energy=quadratic", "event=[2],[3]", "sampler=hmc", *mixed, "out=t"]) == 0
    rows = sweep_rows(here / "t")
    assert [sum(bool(row.get(f"std[{i}]_value")) for i in range(3)) for row in rows] == [2, 3]
    assert (here / "t" / "sweep.png").exists()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("seed=glob(*)", "seed=glob(*)"),
        ("seed=range(0,1000000000)", "more than 10,000 jobs"),
        ("seed=range(5,1)", "lists no values"),
        ("seed=range(0,1,0)", "seed=range(0,1,0)"),
        ("seed=choice()", "seed=choice()"),
    ],
)
def test_values_that_cannot_be_swept_are_reported_in_one_line(word: str, expected: str, here: Path, capsys) -> None:
    assert main(["sample", "-m", "energy=double_well", word, *SHORT]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and expected in err and len(err.splitlines()) == 1
    assert not (here / "outputs").exists()


def test_folder_of_a_sweep_may_hold_a_comma(here: Path) -> None:
    assert main(["sample", "-m", "energy=double_well", "seed=0,1", *SHORT, "out=a,b"]) == 0
    assert len(sweep_rows(here / "a,b")) == 2


def test_all_wrong_numbers_of_a_sweep_are_reported_before_its_first_job(here: Path, capsys) -> None:
    words = ["energy=double_well", "sampler=mala", "sampler.temperature=1,-1,abc", "sampler.step_size=-3", "steps=0,5"]
    assert main(["sample", "-m", *words]) == 2
    err = capsys.readouterr().err
    for part in ("sampler.temperature", "-1", "abc", "sampler.step_size must be > 0", "steps must be >= 1"):
        assert part in err
    assert not (here / "outputs").exists()


def test_a_full_disk_stops_a_sweep_with_a_one_line_message(here: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    real = run.write_text

    def full(path: Path, text: str) -> None:
        if path.name == "sweep.csv":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, text)

    monkeypatch.setattr("ebm_cli.cli.sweep.write_text", full)
    assert main(["sample", "-m", "energy=double_well", "seed=0,1", *SHORT, "out=s"]) == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err and "resume=" in err and "Traceback" not in err
    monkeypatch.setattr("ebm_cli.cli.sweep.write_text", real)
    assert main(["sample", "resume=s"]) == 0
    assert [row["status"] for row in sweep_rows(here / "s")] == ["done", "done"]


@pytest.mark.parametrize(
    "name",
    ["a,b", "new (1)", "x[1]=", "it's", "é", "a\\", "1e-4"],
)
def test_runs_in_a_folder_of_any_name_are_found(name: str, here: Path, trained: Path, monkeypatch) -> None:
    folder = here / name / "outputs" / "train" / "2026-01-01" / "00-00-00-r"
    folder.parent.mkdir(parents=True)
    shutil.copytree(trained, folder)
    monkeypatch.chdir(here / name)
    for key, verb in (("run", "sample"), ("init", "train")):
        for value in ("latest", str(folder)) if key == "run" else ("outputs/train/2026-01-01/00-00-00-r",):
            jobs = compose_jobs(new_plan(verb, parse([f"{key}={value}", "seed=0,1"])))
            assert [job.config[key] for job in jobs] == [str(folder)] * 2
    job = prepare("train", parse([f"resume={folder}", "trainer.steps=9"]))
    assert job.folder == folder
    for value in (f"[{folder},latest]", f"[latest,{folder},{folder}]"):
        config = prepare("sample", parse(["energy=product", f"energy.runs={value}"])).config
        several = len(value.replace(str(folder), "latest").split(","))
        assert config["energy"]["runs"] == [str(folder)] * several
    job = prepare("sample", parse(["energy=double_well", f"out={here / name / 'x'}"]))
    assert job.config["out"] == str(here / name / "x")


def test_the_verbs_work_in_a_folder_with_a_comma_and_a_quote(here: Path, trained: Path, monkeypatch) -> None:
    place = here / "it's (1), [x]=é"
    place.mkdir()
    shutil.copytree(trained, place / "r")
    monkeypatch.chdir(place)
    assert main(["sample", "-m", f"run={place / 'r'}", "sampler.temperature=1,2", *SHORT, "out=5"]) == 0
    assert len(sweep_rows(place / "5")) == 2


@pytest.mark.parametrize("key", ["run", "init", "resume"])
def test_a_sweeps_folder_is_not_accepted_as_a_run(key: str, here: Path, trained: Path, capsys) -> None:
    folder = create_sweep(new_plan("train", parse(["seed=0,1"])), parse(["out=s"]))
    shutil.copytree(trained, folder / "0")
    capsys.readouterr()
    if key == "resume":
        assert main(["train", "resume=s", "trainer.steps=3"]) == 2
    else:
        assert main(["sample" if key == "run" else "train", f"{key}=s"]) == 2
        err = capsys.readouterr().err
        assert "a sweep's folder" in err and str(here / "s" / "0") in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda plan: plan.pop("jobs"), "jobs is missing"),
        (lambda plan: plan.pop("verb"), "verb is missing"),
        (lambda plan: plan.update(keys=3), "keys cannot be read"),
        (lambda plan: plan.update(jobs=[["energy"]]), "jobs cannot be read"),
        (lambda plan: plan.update(jobs=[{"a": 1}]), "jobs cannot be read"),
        (lambda plan: plan.update(cwd=7), "cwd cannot be read"),
    ],
)
def test_a_damaged_plan_is_reported_in_one_line(change, expected: str, here: Path, capsys) -> None:
    create_sweep(new_plan("sample", parse(["energy=double_well", "sampler.temperature=1,2"])), parse(["out=s"]))
    plan = yaml.safe_load((here / "s" / "sweep.yaml").read_text())
    change(plan)
    (here / "s" / "sweep.yaml").write_text(yaml.safe_dump(plan))
    capsys.readouterr()
    assert main(["sample", "resume=s"]) == 2
    err = capsys.readouterr().err
    assert expected in err and "sweep.yaml" in err and len(err.splitlines()) == 1
    (here / "s" / "sweep.yaml").write_bytes(b"\xff\xfe verb: [")
    assert main(["sample", "resume=s"]) == 2


def test_wrong_input_of_a_later_try_leaves_a_finished_run_finished(here: Path, trained: Path) -> None:
    shutil.copytree(trained, here / "t")
    assert main(["train", "resume=t", "trainer.checkpoint_every=0"]) == 2
    assert Run(here / "t").is_finished()
    assert (here / "t" / "config.yaml").read_bytes() == (trained / "config.yaml").read_bytes()


def test_a_key_that_has_the_name_of_a_number_keeps_its_column(here: Path) -> None:
    words = ["energy=double_well,quadratic", "event=[2]", "sampler=mala", *SHORT]
    assert main(["sample", "-m", *words, f"out={here / 'named'}"]) == 0
    assert [row["energy"] for row in sweep_rows(here / "named")] == ["double_well", "quadratic"]


def test_a_sweep_says_in_words_what_numbers_mean_as_its_members_do(here: Path) -> None:
    assert main(["sample", "-m", "energy=double_well", "sampler.temperature=1,2", *SHORT, "out=s"]) == 0
    page = (here / "s" / "report.html").read_text()
    for number, row in enumerate(sweep_rows(here / "s")):
        metrics = Run(here / "s" / str(number)).metrics()
        meanings = {name: metric["meaning"] for name, metric in metrics.items() if "meaning" in metric}
        assert meanings and all(row[f"{name}_meaning"] == words for name, words in meanings.items())
        shown = texts(page, "small")
        assert all(any(text.startswith(words.split(",")[0]) for text in shown) for words in meanings.values())
