"""Test ranked checkpoints: the score is the MMD to held-out samples, and `best` names the lowest existing score."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from ebm_cli.cli import main
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import SCORE
from ebm_cli.training.ranking import Ranking, point_at_best
from tests.contract import build

TINY = [
    "experiment=gaussians_8",
    "energy.width=8",
    "start.size=64",
    "trainer.batch_size=16",
    "objective.steps=2",
    "trainer.log_every=1",
    "trainer.checkpoint_every=4",
]


def test_chains_that_follow_the_data_score_lower_than_chains_that_lack_a_mode() -> None:
    data = build("data", "gaussians_8")
    ranking, batch = Ranking(data), data.sample(900, torch.Generator().manual_seed(1))
    assert batch.y is not None
    good, poor = batch.x[:500], batch.x[batch.y > 1][:500]
    scores = ranking.score(good), ranking.score(poor)
    assert None not in scores and abs(scores[0]) < 0.005 < scores[1]


def test_too_few_rows_have_no_score() -> None:
    few = build("data", "gaussians_8", {"n": 5})
    ranking = Ranking(few)
    assert ranking.score(torch.zeros(2, 2)) is None
    ranking.held_out = ranking.held_out[:2]
    assert ranking.score(torch.zeros(9, 2)) is None


def test_best_names_the_lowest_score_among_the_checkpoints_that_are_there(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step, score in ((4, 0.3), (8, 0.1), (12, 0.2)):
        (run.checkpoints / f"step-{step}").mkdir(parents=True)
        run.log_metrics({"step": step, SCORE: score})
    point_at_best(run)
    assert run.checkpoint("best").name == "step-8"
    shutil.rmtree(run.checkpoints / "step-8")
    point_at_best(run)
    assert run.checkpoint("best").name == "step-12"


def test_a_run_keeps_its_best_checkpoint_and_later_verbs_can_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "trainer.steps=16", "trainer.keep=1", "out=run"]) == 0
    run = Run(tmp_path / "run")
    scores = {row["step"]: row[SCORE] for row in run.history() if SCORE in row}
    assert list(scores) == [4, 8, 12, 16]
    best = min(scores, key=lambda step: scores[step])
    assert run.checkpoint("best").name == f"step-{best}"
    assert run.steps() == sorted({best, 16})
    assert main(["sample", "run=run", "checkpoint=best", "chains=4", "steps=8", "burn_in=0", "thin=1", "out=s"]) == 0
    assert json.loads((tmp_path / "s/metrics.json").read_text())
