"""An argument that is a node of its own is built before the class that takes it, and its faults have its name."""

import json
from pathlib import Path

import pytest

from ebm_cli.assembly.build import make
from ebm_cli.assembly.permission import foreign
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.cli.keys import keys_of
from ebm_cli.data.rings import Rings

RINGS = {"_target_": "ebm_cli.data.rings.Rings", "noise": 0.1, "n": 50, "seed": 0}
SECOND = """
from ebm_cli.estimate import Estimate, Result

class Second:
    needs_samples = False

    def __init__(self, other):
        self.other = other

    def __call__(self, context):
        return Result({"rows": Estimate(float(len(self.other.split("train").x)))})
"""
# A class of this package that takes a data set.
TAKER = "ebm_cli.start.data.AtData"


def test_it_is_built_first_and_its_faults_are_all_named() -> None:
    built = make({"_target_": TAKER, "data": RINGS})
    assert isinstance(built.data, Rings) and len(built.data.split("train").x) == 50
    with pytest.raises(InputError) as caught:
        make({"_target_": TAKER, "data": RINGS | {"noise": -1.0, "n": 0}})
    assert caught.value.messages == ("data.n must be >= 1, got 0", "data.noise must be > 0, got -1.0")


def test_a_class_of_another_group_is_foreign_only_as_the_part_itself() -> None:
    assert foreign({"start": {"_target_": TAKER, "data": RINGS}}) == {}
    assert foreign({"start": RINGS}) == {"start._target_": RINGS["_target_"]}
    mine = {"start": {"_target_": TAKER, "data": [{"_target_": "mine.Set"}]}}
    assert foreign(mine) == {"start.data.0._target_": "mine.Set"}


def test_its_keys_have_its_name_even_if_its_line_has_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "second.yaml"
    path.write_text(
        "other:  # the second data set\n  _target_: mine.Set  # class\n  n: 5  # rows (≥ 1)\nwidth: 1  # w\n"
    )
    assert [key.name for key in keys_of(path)] == ["other._target_", "other.n", "width"]


def test_a_command_builds_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(here)
    (here / "second.py").write_text(SECOND)
    words = ["evaluate", "energy=quadratic", "data=gaussian", "metric=[custom]", "threads=1", "out=run"]
    inner = "{" + ",".join(f"{key}:{value}" for key, value in RINGS.items()) + "}"
    assert main([*words, "metric.custom._target_=second.Second", f"+metric.custom.other={inner}"]) == 0
    assert json.loads((here / "run" / "metrics.json").read_text())["rows"]["value"] == 50
