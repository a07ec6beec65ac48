"""What a training run leaves on the disk: one replay buffer, as many checkpoints as fit, and what lacks them."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from ebm_cli.cli import main
from ebm_cli.run.checkpoint import read_checkpoint, write_checkpoint
from ebm_cli.run.disk_use import prune
from ebm_cli.run.folder import Run
from tests.cli.test_verbs import rows, state

pytestmark = pytest.mark.usefixtures("here")

TINY = [
    *("experiment=gaussians_8", "energy.width=8", "start.size=4000", "trainer.batch_size=16", "objective.steps=1"),
    *("trainer.checkpoint_every=2", "trainer.log_every=1", "trainer.steps=6"),
]


def stored(run: Run) -> list[str]:
    return sorted(path.name for path in run.checkpoints.glob("chains-*"))


def test_a_replay_buffer_is_stored_with_two_checkpoints_and_only_they_serve_start_replay(capsys) -> None:
    assert main(["train", *TINY, "out=run"]) == 0
    run = Run(Path("run"))
    assert run.steps() == [2, 4, 6] and stored(run) == ["chains-4", "chains-6"]
    buffer = read_checkpoint(run.checkpoints / "chains-6")["start.x"]
    assert buffer.shape == (4000, 2) and "start.x" not in read_checkpoint(run.checkpoints / "step-2")["objective"]
    (line,) = re.findall(r"^disk: .+$", capsys.readouterr().err, re.MULTILINE)
    assert re.fullmatch(r"disk: [\d.]+ MB, of which 3 checkpoints [\d.]+ MB, replay buffers [\d.]+ MB", line)
    short = ["start=replay", "chains=4", "steps=4", "burn_in=0", "thin=1", "sampler=mala"]
    assert main(["sample", "run=run", *short]) == 0
    capsys.readouterr()
    assert main(["sample", "run=run", "checkpoint=2", *short]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "no longer has a replay buffer" in error and "step 6" in error and "checkpoint=last" in error
    assert main(["sample", "run=run", "checkpoint=2", "start=noise", *short[1:]]) == 0


def test_with_rollback_each_checkpoint_that_it_may_go_back_to_has_its_buffer() -> None:
    assert main(["train", *TINY, "trainer.on_divergence=rollback", "trainer.keep=2", "out=run"]) == 0
    run = Run(Path("run"))
    # At step 0 no chain has been drawn yet.
    assert stored(run) == [f"chains-{step}" for step in run.steps() if step > 0]


def test_a_checkpoint_of_before_that_holds_its_buffer_is_resumed_on_the_same_bits() -> None:
    assert main(["train", *TINY, "out=whole"]) == 0
    assert main(["train", *TINY, "trainer.steps=4", "out=old"]) == 0
    folder = Path("old/checkpoints/step-4")
    tree, chains = read_checkpoint(folder), folder.with_name("chains-4")
    tree["objective"] |= read_checkpoint(chains)
    del tree["chains"]
    write_checkpoint(folder, tree)
    shutil.rmtree(chains)
    assert main(["train", "resume=old", "trainer.steps=6"]) == 0
    assert state(Path("old")) == state(Path("whole")) and rows(Path("old")) == rows(Path("whole"))
    ends = [read_checkpoint(Path(name, "checkpoints/chains-6")) for name in ("old", "whole")]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_chains_that_cannot_be_read_start_again_and_are_told_of(damage: str, capsys) -> None:
    assert main(["train", *TINY, "out=run"]) == 0
    chains = Path("run/checkpoints/chains-6")
    if damage == "gone":
        shutil.rmtree(chains)
    else:
        (chains / "state.safetensors").write_bytes(b"none")
    capsys.readouterr()
    assert main(["train", "resume=run", "trainer.steps=8"]) == 0
    err = capsys.readouterr().err
    assert "its chains start again; training continues from step-6" in err
    ages = read_checkpoint(Path("run/checkpoints/chains-8"))["start.age"]
    assert int(ages.max()) <= 2


def test_checkpoints_are_kept_by_their_size_too(here: Path) -> None:
    run = Run(here)
    for step in range(1, 7):
        folder = run.checkpoints / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "state").write_bytes(bytes(1000))
    for name, step in (("last", 6), ("best", 1)):
        (run.checkpoints / name).write_text(f"step-{step}\n")
    prune(run, "3.5kB")
    assert run.steps() == [1, 4, 5, 6]
    prune(run, "0.5kB")
    assert run.steps() == [1, 6]


def test_a_run_keeps_checkpoints_within_a_size(capsys) -> None:
    assert main(["train", *TINY, "trainer.keep=1kB", "out=run"]) == 0
    assert Run(Path("run")).steps()[-1] == 6 and len(Run(Path("run")).steps()) <= 2
    assert json.loads(Path("run/metrics.json").read_text())["steps"]["value"] == 6
    for wrong in ("0MB", "many", "200XB"):
        assert main(["train", *TINY, f"trainer.keep={wrong}"]) == 2
        assert "trainer.keep must be a whole number or a size such as 200MB" in capsys.readouterr().err
