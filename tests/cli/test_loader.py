"""What is composed once per process is nobody's but the line's that asks for it."""

from pathlib import Path
from typing import Any

import pytest

from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse

WELL = "ebm_cli.energy.double_well.DoubleWell"


def composed(*words: str, base: Base | None = None) -> dict[str, Any]:
    return compose("sample", parse(list(words)), base or Base())


def test_a_value_of_one_line_is_not_in_the_next() -> None:
    line = ["energy=double_well", "sampler=mala"]
    typed, plain = composed(*line, "sampler.step_size=0.123", "chains=7"), composed(*line)
    assert typed["sampler"]["step_size"] == 0.123 != plain["sampler"]["step_size"]
    assert typed["chains"] == 7 != plain["chains"]


@pytest.mark.parametrize("barrier", [3.0, 4.0])
def test_each_run_has_its_own_nodes(barrier: float) -> None:
    nodes = {"energy": {"_target_": WELL, "barrier": barrier, "tilt": 0.0}}
    assert composed(base=Base(nodes))["energy"]["barrier"] == barrier


def test_an_option_of_a_users_own_folder_is_read_again_each_time(here: Path) -> None:
    Path("conf/energy").mkdir(parents=True)
    for barrier in (3.0, 4.0):
        Path("conf/energy/steep.yaml").write_text(f"_target_: {WELL}\nbarrier: {barrier}\ntilt: 0.0\n")
        assert composed("energy=steep")["energy"]["barrier"] == barrier
