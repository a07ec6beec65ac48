"""The held-out nll in training: by replica exchange it agrees with quadrature, and training can stop by it."""

import json
from pathlib import Path
from typing import Any

import pytest

from ebm_cli.chain import pilot
from ebm_cli.cli import main

TINY = "train data=gaussians_8 energy.width=16 trainer.batch_size=64 objective.steps=2 threads=1"


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_log_z_by_replicas_agrees_with_quadrature(tmp_path: Path) -> None:
    run, found = tmp_path / "run", tmp_path / "found"
    words = "trainer.track=replicas trainer.steps=40 trainer.checkpoint_every=20"
    assert main([*f"{TINY} {words}".split(), f"out={run}"]) == 0
    measured = [row for row in history(run) if "nll" in row]
    assert [row["step"] for row in measured] == [20, 40]
    last = measured[-1]
    assert last["nll_lower"] < last["nll"] < last["nll_upper"] and last["nll_swap_rate_min"] > 0.25
    width = last["tracked_log_z_upper"] - last["tracked_log_z_lower"]
    assert last["nll_upper"] - last["nll_lower"] == pytest.approx(width, rel=0.01)
    assert main(["evaluate", f"run={run}", "metric=[log_z]", "threads=1", f"out={found}"]) == 0
    exact = json.loads((found / "metrics.json").read_text())["log_z"]["value"]
    # The bounds are two standard errors away.
    assert abs(last["tracked_log_z"] - exact) < width


def test_log_z_of_an_objective_and_by_replicas_are_two_curves(tmp_path: Path) -> None:
    words = "objective=noise_contrastive trainer.track=replicas trainer.steps=10 trainer.checkpoint_every=10"
    words = f"train experiment=null data=gaussians_8 energy.width=16 {words} threads=1"
    assert main([*words.split(), f"out={tmp_path / 'run'}"]) == 0
    rows = history(tmp_path / "run")
    assert sum("log_z" in row for row in rows) == sum("tracked_log_z" in row for row in rows) == 1


def test_a_refused_nll_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pilot, "MAX_STEPS", 0)
    words = "trainer.track=replicas trainer.steps=20 trainer.checkpoint_every=10"
    assert main([*f"{TINY} {words}".split(), f"out={tmp_path / 'run'}"]) == 0
    assert not any("nll" in row for row in history(tmp_path / "run"))
    said = capsys.readouterr().err
    assert (
        said.count("annealing from the base does not reach the model") == said.count("step 10: nll has no value") == 1
    )


def test_nll_of_discrete_rows_is_exact_where_log_z_is_known(tmp_path: Path) -> None:
    words = "train energy=rbm energy.hidden=4 data=digits_binary trainer.nll_every=2 trainer.steps=2 threads=1"
    assert main([*words.split(), f"out={tmp_path / 'run'}"]) == 0
    (measured,) = [row for row in history(tmp_path / "run") if "nll" in row]
    assert measured["nll_lower"] == pytest.approx(measured["nll_upper"])
    # Less than the 64 log 2 = 44.4 nats of uniform states, because training starts at the rates of the rows.
    assert 0 < measured["nll"] < 40


def test_training_stops_when_nll_no_longer_improves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "trainer.track=replicas trainer.stop=nll trainer.patience=20 trainer.checkpoint_every=10 trainer.steps=200"
    # No step but the last one is logged.
    words += " trainer.log_every=1000"
    assert main([*f"{TINY} {words} optimizer.lr=1e-12".split(), f"out={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().err
    measured = {row["step"]: row["nll_upper"] for row in history(tmp_path / "run") if "nll" in row}
    best, last = min(measured, key=lambda step: measured[step]), max(measured)
    assert last < 200 and last - best >= 20 and last - 10 - best < 20
    rows = [row for row in history(tmp_path / "run") if "loss" in row]
    assert rows[-1]["step"] == last
    assert f"training stops at step {last}: the upper bound of nll was lowest at step {best}" in said
    assert (tmp_path / "run" / "checkpoints" / "best").read_text().strip() == f"step-{best}"
    # A run that has stopped is complete, until a new patience lets it continue.
    assert main(f"train resume={tmp_path / 'run'}".split()) == 0
    assert max(row["step"] for row in history(tmp_path / "run")) == last
    assert main(f"train resume={tmp_path / 'run'} trainer.stop=null trainer.steps={last + 5}".split()) == 0
    assert max(row["step"] for row in history(tmp_path / "run")) == last + 5


def test_stop_needs_an_estimate_and_its_names_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        ("trainer.stop=nll", "trainer.stop=nll needs estimates of nll: trainer.track=replicas"),
        ("trainer.track=replica", "trainer.track must be one of replicas"),
        ("trainer.stop=mmd", "trainer.stop must be one of nll"),
        ("trainer.patience=0", "trainer.patience must be >= 1, got 0"),
    ):
        assert main([*TINY.split(), *words.split()]) == 2
        assert message in capsys.readouterr().err
