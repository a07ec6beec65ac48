"""Test common mistakes in a user's own class or file: exit code 2, and one line that gives the remedy."""

from pathlib import Path

import pytest

from ebm_cli.cli import main

OWN = """
import torch


class Bare(torch.nn.Module):
    def __init__(self):
        pass

    def forward(self, x):
        return x.square().sum(1)


class Fixed(torch.nn.Module):
    def forward(self, x):
        return x.square().sum(1)
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sample energy=custom energy._target_=slips.Bare event=[2] steps=20", "super().__init__()"),
        ("train data=gaussians_8 experiment=null energy=custom energy._target_=slips.Fixed", "nothing to train"),
        ("train data=table data.path=ragged.csv", "line 3 has 4 values, those before it 2"),
    ],
)
def test_a_mistake_in_a_users_class_is_reported_in_one_line(
    words: str, expected: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("slips.py").write_text(OWN)
    Path("ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n")
    assert main(words.split()) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in said if line.startswith("error:")]) == 1 and expected in said[-1]
