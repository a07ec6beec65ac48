"""Test provoked divergence: training stops at the first non-finite value, or rolls back until it succeeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ebm_cli import load_run
from ebm_cli.cli import main
from ebm_cli.training.rollback import RECORD
from tests.cli.test_verbs import rows, state

pytestmark = pytest.mark.usefixtures("here")

TINY = [
    "experiment=two_moons",
    "sampler=sgld",
    "energy.width=16",
    "energy.frequencies=0",
    "start.size=64",
    "trainer.batch_size=32",
    "objective.steps=10",
    "trainer.checkpoint_every=5",
    "trainer.log_every=1",
    "trainer.steps=30",
]
# What the recipe has (rate 0.01, step 0.01) times 100 and more, without clipping, warm-up or confinement.
PROVOKED = {
    "rate": ["optimizer.lr=1e4", "optimizer.warmup=0", "optimizer.clip=null"],
    "step": ["sampler.step_size=50", "energy.confinement=1.0"],
    "confinement": ["energy.confinement=0", "optimizer.lr=3000", "optimizer.warmup=0", "optimizer.clip=null"],
}


def record() -> list[dict]:
    return json.loads(Path("run", RECORD).read_text())


@pytest.mark.parametrize("provoked", PROVOKED)
def test_a_provoked_divergence_stops_within_a_step_and_keeps_a_usable_checkpoint(
    provoked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *TINY, *PROVOKED[provoked], "trainer.checkpoint_every=1", "out=run"]) == 1
    err = capsys.readouterr().err
    assert "diverged at step" in err and "usually helps" in err and "Traceback" not in err
    at = int(err.split("diverged at step ")[1].split(":")[0])
    logged = [row["step"] for row in rows(Path("run"))] if Path("run/metrics.jsonl").exists() else []
    assert max(logged, default=0) == at - 1
    if at > 1:
        weights = load_run("run", weights="raw").energy.state_dict()
        assert all(bool(w.isfinite().all()) for w in weights.values())
        assert Path("run/checkpoints/last").read_text().strip() == f"step-{at - 1}"


@pytest.mark.parametrize("provoked", PROVOKED)
def test_with_rollback_a_provoked_run_ends_trained(provoked: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["trainer.on_divergence=rollback", "trainer.max_rollbacks=12", "trainer.rollback_factor=0.1", "out=run"]
    code = main(["train", *TINY, *PROVOKED[provoked], *more])
    # Training makes all its steps. The verdict, not this test, judges the resulting model.
    loss = json.loads(Path("run/metrics.json").read_text())["loss"]
    assert code == (1 if loss["verdict"] == "refused" else 0)
    err = capsys.readouterr().err
    done = record()
    assert done and err.count("(rollback ") == len(done) <= 12
    assert "with another seed" in err and "optimizer.lr" in err
    logged = rows(Path("run"))
    assert [row["step"] for row in logged if "loss" in row] == list(range(1, 31))
    assert all(np.isfinite(row["loss"]) for row in logged if "loss" in row)
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["optimizer"]["lr"] == done[-1]["lr"] and config["sampler"]["step_size"] == done[-1]["step_size"]
    words = ["sampler=of_run", "chains=8", "steps=40", "burn_in=0", "thin=4"]
    assert main(["sample", "run=run", *words, "out=s"]) == 0


def test_rollbacks_stop_at_their_maximum_number(capsys: pytest.CaptureFixture[str]) -> None:
    more = ["trainer.on_divergence=rollback", "trainer.max_rollbacks=2", "trainer.rollback_factor=0.9", "out=run"]
    assert main(["train", *TINY, *PROVOKED["step"], *more]) == 1
    err = capsys.readouterr().err
    assert err.count("(rollback ") == 2 and "failed: diverged" in err and len(record()) == 2


def test_a_run_that_was_rolled_back_resumes_on_the_bits_of_one_never_stopped() -> None:
    more = [
        "trainer.on_divergence=rollback",
        "trainer.max_rollbacks=12",
        "trainer.rollback_factor=0.1",
        "trainer.keep=9",
    ]
    words = [*TINY, *PROVOKED["step"], *more]
    assert main(["train", *words, "out=run"]) == 0
    shutil.copytree("run", "parts")
    Path("parts/checkpoints/last").write_text("step-10\n")
    assert main(["train", "resume=parts"]) == 0
    assert state(Path("parts")) == state(Path("run"))
    assert rows(Path("parts")) == rows(Path("run"))


@pytest.mark.parametrize(
    "wrong", ["trainer.on_divergence=retry", "trainer.max_rollbacks=-1", "trainer.rollback_factor=1"]
)
def test_a_wrong_policy_is_named(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *TINY, wrong]) == 2
    assert wrong.partition("=")[0] in capsys.readouterr().err
