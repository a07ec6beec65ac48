"""Test failed training: the numbers, the folder and the exit code report the failure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ebm_cli.cli import main

SMALL = ["start.size=64", "trainer.batch_size=64", "energy.width=16", "trainer.log_every=2", "trainer.steps=40"]


def metrics(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sampler=sgld", "sampler.step_size=1", "energy.confinement=0", "optimizer.lr=1e-5"], "left the data"),
        (["sampler=mala", "sampler.step_size=1e9"], "do not move"),
        (["sampler=sgld", "sampler.step_size=1e-14"], "do not move"),
        (["sampler=sgld", "objective.delay_steps=100"], "no chain of the model ever moved"),
    ],
)
def test_chains_that_left_the_data_or_do_not_move_give_a_refused_loss_and_exit_code_1(words, reason, tmp_path) -> None:
    out = tmp_path / "run"
    assert main(["train", "data=two_moons", "experiment=null", *SMALL, *words, f"out={out}"]) == 1
    found = metrics(out)
    for name in {"loss", "e_data", "e_model"} & found.keys():
        assert found[name]["verdict"] == "refused" and found[name]["value"] is None
        assert reason in found[name]["reason"]
    assert reason in (out / "report.html").read_text()
    board = EventAccumulator(str(out)).Reload()
    assert board.Scalars("2_verdict/worst")[-1].value == 0


@pytest.mark.usefixtures("quick_search")
def test_a_refusal_names_the_sampler_that_the_recipe_was_made_for(tmp_path: Path) -> None:
    words = ["experiment=two_moons", *SMALL, "sampler=mala", "sampler.step_size=1e9", f"out={tmp_path / 'run'}"]
    assert main(["train", *words]) == 1
    assert "the recipe was made for sampler=jump_mala" in metrics(tmp_path / "run")["loss"]["reason"]


def test_a_run_whose_chains_follow_the_model_is_ok(tmp_path: Path) -> None:
    words = ["data=two_moons", "experiment=null", *SMALL, "sampler=sgld", "optimizer.lr=1e-4"]
    assert main(["train", *words, f"out={tmp_path / 'run'}"]) == 0
    assert metrics(tmp_path / "run")["loss"]["verdict"] == "ok"


def table(path: Path, frame: pd.DataFrame) -> list[str]:
    frame.to_csv(path, index=False)
    return ["train", "data=table", f"data.path={path}", "experiment=null", "energy=mlp", *SMALL[1:]]


REPEATS = {
    "rows": (np.repeat([[1.0, 2.0], [3.0, 4.0]], 60, 0), "only 2 of 96 rows differ"),
    "a few rows": (np.repeat(np.random.default_rng(0).normal(size=(90, 2)), [2] * 40 + [1] * 50, 0), "of 104 rows"),
    "a coordinate": (
        np.stack([np.random.default_rng(0).normal(size=200), np.arange(200) % 3.0], 1),
        "a coordinate has only 3 values in 160 rows",
    ),
}


@pytest.mark.parametrize("case", REPEATS)
@pytest.mark.parametrize("objective", ["score_matching", "sliced_score_matching"])
def test_score_matching_is_refused_on_rows_that_repeat_until_they_carry_noise(
    case, objective, tmp_path, capsys
) -> None:
    values, expected = REPEATS[case]
    words = [*table(tmp_path / "t.csv", pd.DataFrame(values, columns=["a", "b"])), f"objective={objective}"]
    assert main([*words, f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: data.noise must be > 0") and expected in error and "data.noise=0.1" in error
    assert len(error.strip().splitlines()) == 1 and not (tmp_path / "run").exists()
    assert main([*words, "data.noise=0.1", f"out={tmp_path / 'run'}"]) == 0


def test_resuming_a_run_that_has_no_step_left_changes_nothing(tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(["train", "data=two_moons", "experiment=null", *SMALL, f"out={out}"]) in (0, 1)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    for words, reached in ((["trainer.steps=10"], "got 10"), ([], "got 40")):
        assert main(["train", f"resume={out}", *words]) == 2
        error = capsys.readouterr().err
        assert "trainer.steps must be > 40" in error and reached in error and "trainer.steps=80" in error
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_that_was_killed_before_its_last_lines_gets_them_on_resume(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["train", "data=two_moons", "experiment=null", *SMALL, f"out={out}"]) in (0, 1)
    written = metrics(out)
    (out / "metrics.json").unlink()
    assert main(["train", f"resume={out}"]) in (0, 1)
    found = metrics(out)
    assert found["loss"] == written["loss"] and found["steps_per_second"]["value"] > 0
