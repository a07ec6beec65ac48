"""log Z starts at the base of the path along which chains move: one key for both, and no path without exact draws."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ebm_cli.cli import main, old_names
from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse
from ebm_cli.run.old_formats import migrate_config

LOG_Z = ["evaluate", "energy=phi4", "event=[4]", "metric=[log_z]", "budget=200000", "target=null", "threads=1"]
SMALL = ["metric.log_z.chains=16", "metric.log_z.temperatures=20", "metric.log_z.steps=100"]


@pytest.fixture(autouse=True)
def announced_once_per_test() -> None:
    old_names.announce.cache_clear()


def base_of(words: list[str], here: Path, capsys: pytest.CaptureFixture) -> tuple[str, str]:
    """Return the base at which log Z starts, and all messages."""
    capsys.readouterr()
    assert main([*LOG_Z, *SMALL, *words, f"out={here / 'e'}"]) == 0
    output = capsys.readouterr()
    _, _, after = output.err.partition("paths start at a")
    return after.split(";")[0].strip(), output.err


@pytest.mark.parametrize("words", [["path.base=box", "path.box=[-9,9]"], ["metric.log_z.base=box"]])
def test_log_z_starts_at_the_base_of_the_path(words: list[str], here: Path, capsys: pytest.CaptureFixture) -> None:
    base, messages = base_of(words, here, capsys)
    assert "box" in base
    note = "metric.log_z.base is now called path.base"
    assert messages.count(note) == (words[0].startswith("metric"))
    config = yaml.safe_load((here / "e" / "config.yaml").read_text())
    assert config["path"]["base"] == "box" and "base" not in config["metric"]["log_z"]
    assert "path.base" in config["made"]["chosen"]


def test_the_path_of_the_verb_leaves_the_base_to_auto(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert base_of([], here, capsys)[0] == "Gaussian"


@pytest.mark.parametrize("words", [["path=hot"], ["path.replicas=5"]])
def test_a_path_without_exact_draws_is_refused_by_name(
    words: list[str], here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*LOG_Z, *words, f"out={here / 'e'}"]) == 2
    assert "path=hot does not fit metric=log_z" in capsys.readouterr().err


def test_both_old_keys_of_nll_are_read_as_keys_of_the_path() -> None:
    words = ["energy=phi4", "data=gaussian", "metric=[nll]", "metric.nll.base=box", "metric.nll.box=[-1,1]"]
    config = compose("evaluate", parse(words), Base())
    assert config["path"]["_target_"].endswith("BasePath")
    assert (config["path"]["base"], config["path"]["box"]) == ("box", [-1, 1])


@pytest.mark.parametrize(
    ("given", "path", "base"),
    [({"base": "auto", "box": None}, "hot", None), ({"base": "gaussian", "box": None}, "base", "gaussian")],
)
def test_the_base_of_an_old_evaluation_is_in_its_path(given: dict[str, Any], path: str, base: str | None) -> None:
    metric = {"log_z": {"_target_": "ebm_cli.metric.log_z.LogZ", "method": "ais"} | given}
    hot = {"_target_": "ebm_cli.path.hot.HotPath", "replicas": 8}
    found = migrate_config({"made": {"format": 9}, "metric": metric, "path": hot})
    assert found["metric"]["log_z"] == {"_target_": "ebm_cli.metric.log_z.LogZ", "method": "ais"}
    assert found["path"]["_target_"].split(".")[-2] == path and found["path"].get("base") == base
