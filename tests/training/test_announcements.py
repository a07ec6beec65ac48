"""What training prints before its first step."""

from pathlib import Path

import pytest

from ebm_cli.cli import main

BITS = ["train", "data=digits_binary", "energy=rbm", "energy.hidden=4", "trainer.steps=2", "threads=1"]


@pytest.mark.parametrize(
    ("words", "warns"),
    [
        (["start=noise"], True),
        (["start=data", "path.betas=[1,0.5,0]"], True),
        (["start=noise", "path.betas=[1,0.5,0]", "objective.steps=2"], False),
        (["start=replay"], False),
    ],
)
def test_replicas_that_start_again_before_they_can_cross_the_path_give_a_warning(
    words: list[str], warns: bool, here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*BITS, "path=rates", *words, f"out={here / 'run'}"]) == 0
    assert ("within objective.steps=1. Type start=replay" in capsys.readouterr().err) is warns
