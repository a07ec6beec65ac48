"""Test runs that are killed at any moment: when they are resumed, they give the bits of an uninterrupted run."""

import fcntl
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebm_cli.cli import main
from ebm_cli.run.folder import UNFINISHED, Run
from ebm_cli.training import loop, rollback, state
from scripts.kill_and_resume import differences
from tests.training.test_state import training

SMALL = [
    "energy.width=8",
    "start.size=32",
    "trainer.batch_size=16",
    "objective.steps=2",
    "trainer.log_every=1",
    "trainer.checkpoint_every=4",
    "trainer.steps=8",
]
RUNS = {
    "plain": ["experiment=gaussians_8", *SMALL],
    "another sampler": ["experiment=two_moons", "sampler=sghmc", *SMALL],
    "a file": ["data=table", "data.path=rows.csv", "experiment=null", *SMALL],
    "another run's weights": ["init=first", *SMALL],
    "contrastive_kl": ["experiment=gaussians_8", "regularizer=[contrastive_kl]", *SMALL],
}
DIVERGES = [
    "experiment=two_moons",
    "sampler=sgld",
    "sampler.step_size=50",
    "energy.confinement=1.0",
    "energy.frequencies=0",
    "trainer.on_divergence=rollback",
    "trainer.max_rollbacks=12",
    "trainer.rollback_factor=0.1",
    *SMALL,
    "objective.steps=10",
    "trainer.steps=12",
]


class Killed(BaseException):
    """An exception that ends a verb like a kill: nothing in the package catches it."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal([3.0, -200.0], [1.0, 50.0], (200, 2))
    np.savetxt("rows.csv", rows, delimiter=",", header="a,b", comments="")
    return tmp_path


def killed_at(target: str, words: list[str], call: int = 1, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Run `ebm train` until the call number `call` of `target` for which `when` holds, and kill it there."""
    module, _, name = target.rpartition(".")
    with pytest.MonkeyPatch.context() as patch:
        owner = importlib.import_module(module)
        own: Any = getattr(owner, name)
        left = [call]

        def fatal(*args: Any, **more: Any) -> Any:
            if when(*args, **more):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
            return own(*args, **more)

        patch.setattr(owner, name, fatal)
        with pytest.raises(Killed):
            main(["train", *words])


def is_checkpoint(final: Path, tree: dict) -> bool:
    """Return True if a checkpoint is stored. Its chains are stored before it."""
    return final.name.startswith("step-")


def names_last(path: Path, text: str) -> bool:
    """Return True if the written file is checkpoints/last."""
    return path.name == "last"


def has_older_chains(run: Run, all_kept: bool) -> bool:
    """Return True if chains of more than one checkpoint are stored."""
    return len(list(run.checkpoints.glob("chains-*"))) > 1


# Where a run is killed, in the order in which it comes there.
MOMENTS: dict[str, tuple[str, Callable[..., bool]]] = {
    "configuration written": ("ebm_cli.verb.train.record_for", lambda *_: True),
    "step size found": ("ebm_cli.verb.train.first_state", lambda *_: True),
    "first steps logged": ("ebm_cli.training.loop.save_and_rank", lambda *_: True),
    "chains without their checkpoint": ("ebm_cli.run.checkpoint.put_checkpoint", is_checkpoint),
    "first checkpoint without its name": ("ebm_cli.run.checkpoint.write_text", names_last),
    "second checkpoint next to older chains": ("ebm_cli.training.loop.drop_chains", has_older_chains),
    "all steps made": ("ebm_cli.training.loop.summary", lambda *_: True),
    "numbers written": ("ebm_cli.report.page.write_report", lambda *_: True),
}


def kill_and_compare(words: list[str], moments: Iterable[str]) -> None:
    assert main(["train", *words, "out=whole"]) in (0, 1)
    for number, (target, when) in enumerate(MOMENTS[name] for name in moments):
        broken = Path(f"broken-{number}")
        killed_at(target, [*words, f"out={broken}"], when=when)
        assert (broken / UNFINISHED).exists()
        assert main(["train", f"resume={broken}"]) in (0, 1)
        assert differences(Path("whole"), broken) == [], target
        assert Run(broken).is_finished() and (broken / "report.html").exists()


# The first two are where a step size is sought.
@pytest.mark.usefixtures("quick_search")
@pytest.mark.parametrize(("kind", "moments"), [("another sampler", [*MOMENTS][:2]), ("plain", [*MOMENTS][2:])])
def test_a_run_killed_at_any_point_is_resumed_on_the_same_bits(kind: str, moments: list[str]) -> None:
    kill_and_compare(RUNS[kind], moments)


@pytest.mark.parametrize(
    "kind", ["a file", pytest.param("another run's weights", marks=pytest.mark.slow), "contrastive_kl"]
)
def test_a_run_of_any_kind_killed_before_its_first_checkpoint_ends_on_the_same_bits(kind: str) -> None:
    if kind == "another run's weights":
        assert main(["train", *RUNS["a file"], "out=first"]) in (0, 1)
    kill_and_compare(RUNS[kind], ["first steps logged"])


def test_a_run_killed_twice_before_its_first_checkpoint_logs_each_step_once(here: Path) -> None:
    assert main(["train", *RUNS["plain"], "out=whole"]) in (0, 1)
    killed_at("ebm_cli.training.loop.save_and_rank", [*RUNS["plain"], "out=broken"])
    assert len(Run(Path("broken")).history()) == 4
    killed_at("ebm_cli.training.loop.step", ["resume=broken"], call=3)
    assert main(["train", "resume=broken"]) in (0, 1)
    assert differences(Path("whole"), Path("broken")) == []
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator("broken").Reload().Scalars("1_train/loss")
    assert [event.step for event in shown] == list(range(1, 9))


@pytest.mark.slow
def test_a_rollback_cut_short_is_finished_on_resume() -> None:
    assert main(["train", *DIVERGES, "out=whole"]) in (0, 1)
    assert len(rollback.past_rollbacks(Run(Path("whole")))) >= 2
    for target, number in (("return_to", 2), ("with_last_values", 1)):
        broken = Path(f"broken-{target}")
        killed_at(f"ebm_cli.training.rollback.{target}", [*DIVERGES, f"out={broken}"], call=number)
        assert main(["train", f"resume={broken}"]) in (0, 1)
        assert differences(Path("whole"), broken) == []


# The step at which training diverges, by the number of rollbacks before: some to the same checkpoint or an earlier one.
PLANTED = {0: 6, 1: 7, 2: 10, 3: 15}


@pytest.fixture
def planted_divergences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training diverges at the steps of PLANTED, whatever numbers a machine computes."""
    own = loop.step

    def diverging(parts: Any, trainer: Any, training_state: state.TrainState, run: Run) -> Any:
        found = own(parts, trainer, training_state, run)
        if PLANTED.get(len(rollback.past_rollbacks(run))) == training_state.step:
            raise rollback.Diverged("planted", training_state.step, run)
        return found

    monkeypatch.setattr(loop, "step", diverging)


@pytest.mark.usefixtures("planted_divergences")
def test_rollbacks_spread_over_a_run_are_finished_wherever_a_kill_falls() -> None:
    words = [*RUNS["plain"], "trainer.on_divergence=rollback", "trainer.steps=16"]
    assert main(["train", *words, "out=whole"]) in (0, 1)
    assert [entry["to"] for entry in rollback.past_rollbacks(Run(Path("whole")))] == [4, 0, 8, 12]
    # `rmtree` removes the checkpoint that is passed over.
    for target, number in (("return_to", 2), ("rmtree", 1), ("with_last_values", 4)):
        broken = Path(f"broken-{target}")
        killed_at(f"ebm_cli.training.rollback.{target}", [*words, f"out={broken}"], call=number)
        assert main(["train", f"resume={broken}"]) in (0, 1)
        assert differences(Path("whole"), broken) == []


def saved(here: Path, steps: int) -> tuple[Run, state.TrainState]:
    """A run with a checkpoint at each step up to `steps`."""
    run, training_state = Run(here), training()
    for step in range(steps + 1):
        training_state.step = step
        training_state.save(run)
    return run, training_state


@pytest.mark.parametrize("killed", ["before last", "before the removal"])
def test_a_skipped_checkpoint_is_removed_after_a_kill_at_either_moment(killed: str, here: Path) -> None:
    run, own = saved(here, 3)
    (here / rollback.RECORD).write_text(json.dumps([{"to": 3}, {"to": 2}]))
    if killed == "before the removal":
        (run.checkpoints / "last").write_text("step-2\n")
    assert rollback.load(own, run) == []
    assert own.step == 2 and run.checkpoint("last").name == "step-2" and run.steps() == [0, 1, 2]


def test_a_rollback_that_a_checkpoint_has_followed_is_not_made_again(here: Path) -> None:
    run, own = saved(here, 2)
    (here / rollback.RECORD).write_text(json.dumps([{"to": 2}]))
    own.rollbacks, own.step = 1, 4
    own.save(run)
    assert rollback.load(own, run) == []
    assert own.step == 4 and run.steps() == [0, 1, 2, 4]


def test_what_a_kill_leaves_before_the_configuration_does_not_stop_the_same_command(here: Path) -> None:
    words = [*RUNS["plain"], "out=run"]
    killed_at("ebm_cli.cli.run_job.resolve_auto_values", words)
    assert [path.name for path in Path("run").iterdir()] == [UNFINISHED]
    Path("run", ".config.yaml.x1y2_z").write_text("made:")
    assert main(["train", *words]) in (0, 1)
    assert Run(Path("run")).is_finished()


@pytest.mark.parametrize("names", [["notes.txt"], [UNFINISHED, "notes.txt"], [UNFINISHED, "config.yaml"]])
def test_a_folder_with_anything_else_is_never_written_over(names: list[str], capsys) -> None:
    Path("run").mkdir()
    for name in names:
        Path("run", name).write_text("mine")
    assert main(["train", *RUNS["plain"], "out=run"]) == 2
    assert "out=run exists already" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in Path("run").iterdir()} == dict.fromkeys(names, "mine")


def test_a_folder_that_another_process_starts_is_not_used(capsys) -> None:
    Path("run").mkdir()
    Run(Path("run")).begin()
    handle = os.open("run", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert main(["train", *RUNS["plain"], "out=run"]) == 2
    assert "in use by another ebm" in capsys.readouterr().err
    assert [path.name for path in Path("run").iterdir()] == [UNFINISHED]
    os.close(handle)


def test_other_verbs_name_the_command_that_continues_a_run_without_a_checkpoint(capsys) -> None:
    killed_at("ebm_cli.verb.train.first_state", RUNS["plain"])
    (killed,) = (path.parent for path in Path("outputs/train").glob("*/*/config.yaml"))
    assert main(["sample", f"run={killed}"]) == 2
    error = capsys.readouterr().err
    assert "has no checkpoints/last yet" in error and f"ebm train resume={killed.absolute()} continues it" in error
    assert main(["train", "resume=latest"]) in (0, 1)
    assert Run(killed).is_finished()


def without_end(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "ebm_cli", "train", *words], stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["config.yaml", "metrics.jsonl", "checkpoints/last"])
def test_a_process_killed_while_it_writes_a_file_is_resumed_on_the_same_bits(file: str) -> None:
    words = [*RUNS["another sampler"], "trainer.steps=60"]
    assert main(["train", *words, "out=whole"]) in (0, 1)
    process = without_end([*words, "out=broken"])
    deadline = time.monotonic() + 120
    while not Path("broken", file).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert main(["train", "resume=broken"]) in (0, 1)
    assert differences(Path("whole"), Path("broken")) == []
