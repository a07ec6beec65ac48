"""Test damaged run folders: one line names the file, or the damage has no effect; a traceback never appears."""

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ebm_cli.assembly.assemble import assemble
from ebm_cli.assembly.build import construct
from ebm_cli.assembly.permission import permitted
from ebm_cli.assembly.weights import load_weights
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.words import parse
from ebm_cli.report.page import write_report
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.training.trainer import Trainer

TINY = ["trainer.steps=4", "trainer.checkpoint_every=2", "trainer.log_every=1", "trainer.batch_size=8"]
SMALL = ["start.size=16", "objective.steps=1", "energy.width=8"]
SHORT = ["chains=2", "steps=4", "thin=1", "burn_in=0"]
VERBS = {
    "sample": ["sample", "run=x", *SHORT],
    "evaluate": ["evaluate", "run=x", "metric=[moments]", "samples=4", "steps=2"],
    "resume": ["train", "resume=x", "trainer.steps=6"],
    "init": ["train", "init=x", "trainer.steps=2"],
    "diagnose": ["diagnose", "run=y", "diagnostic=[ess]"],
}
WRONG = ["x", -1, None, [], {}, 1.5, True, [{"a": 1}], 10**30, float("nan")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training run and a sample run of it."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(["train", "experiment=gaussians_8", *TINY, *SMALL, f"out={folder / 'x'}"]) == 0
    assert main(["sample", f"run={folder / 'x'}", *SHORT, f"out={folder / 'y'}"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of both runs, the sample run's naming the copy of the other."""
    monkeypatch.chdir(tmp_path)
    for name in "xy":
        shutil.copytree(whole / name, tmp_path / name)
    config = yaml.safe_load((tmp_path / "y" / "config.yaml").read_text())
    (tmp_path / "y" / "config.yaml").write_text(yaml.safe_dump(config | {"run": str(tmp_path / "x")}))
    return tmp_path


def paths(node: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of a nested dict, at every depth."""
    for key, value in node.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, (*before, key))


def built(words: list[str]) -> None:
    """Do what a verb does before its work: open, compose, build, load."""
    job = prepare(words[0], parse(words[1:]))
    config = job.config
    if isinstance(job.source, Run) and words[0] == "diagnose":
        config = job.source.config() | {"objective": None, "engine": "eager", "device": "cpu", "threads": 1}
    with permitted(job.permission):
        parts = assemble(config, resolve(config["device"], config["dtype"], config["threads"]))
        if isinstance(job.source, Run) and words[0] != "diagnose":
            load_weights(parts.energy, job.source, "last", "averaged")
        if words[0] == "train":
            construct(Trainer, config["trainer"])


@pytest.mark.parametrize("verb", VERBS)
def test_no_key_of_a_configuration_causes_a_traceback(verb: str, here: Path) -> None:
    path = here / ("y" if verb == "diagnose" else "x") / "config.yaml"
    config = yaml.safe_load(path.read_text())
    chance = random.Random(verb)
    cases = [(keys, value) for keys in paths(config) for value in ("gone", *WRONG)]
    refused = 0
    for keys, value in chance.sample(cases, 40):
        changed = copy.deepcopy(config)
        node = changed
        for key in keys[:-1]:
            node = node[key]
        if value == "gone":
            del node[keys[-1]]
        else:
            node[keys[-1]] = value
        path.write_text(yaml.safe_dump(changed))
        try:
            built(VERBS[verb])
        except InputError as error:
            refused += 1
            assert error.messages and all("\n" not in message for message in error.messages), (keys, value)
    assert refused > 5


def edited(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """A damage: the first JSON value of a file changed."""

    def damage(folder: Path) -> None:
        path = folder / name
        first, mark, rest = path.read_text().partition("\n") if name.endswith("l") else (path.read_text(), "", "")
        path.write_text(json.dumps(change(json.loads(first))) + mark + rest)

    return damage


def written(name: str, content: bytes) -> Callable[[Path], None]:
    """A damage: a file with other content."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: {name: value for name, value in values.items() if name != key}


# Verb, damage, exit code, and what the line holds.
DAMAGES = [
    ("sample", written("checkpoints/last", b"step-\xff4\n"), 2, ["checkpoint step-", "missing"]),
    ("sample", written("checkpoints/last", b"\xff\xfe"), 2, ["checkpoint \\xff\\xfe of run=", "missing"]),
    ("sample", written("checkpoints/last", b"\x1b[2J\xef\xbf\xbd"), 2, ["checkpoint \\x1b[2J\\ufffd of run="]),
    ("sample", written("checkpoints/last", b""), 2, ["missing"]),
    ("resume", written("checkpoints/last", b"\xc3\x28"), 2, ["missing"]),
    ("init", written("checkpoints/last", b"../../x"), 2, ["missing"]),
    ("sample", written("config.yaml", b""), 2, ["config.yaml is damaged"]),
    ("evaluate", written("config.yaml", b"\xff\xfe"), 2, ["config.yaml is damaged"]),
    ("resume", written("config.yaml", b"made: {verb: [train]}"), 2, ["made.verb must be one of"]),
    ("init", written("config.yaml", b"made: {verb: train}"), 2, ["config.yaml lacks energy"]),
    ("diagnose", written("config.yaml", b"- 1"), 2, ["config.yaml is damaged"]),
    ("resume", edited("metrics.jsonl", without("step")), 2, ["metrics.jsonl is damaged: line 1"]),
    ("resume", edited("metrics.jsonl", lambda row: row | {"step": "1"}), 2, ["metrics.jsonl is damaged: line 1"]),
    ("resume", edited("metrics.jsonl", lambda row: row | {"loss": {}}), 2, ["metrics.jsonl is damaged: line 1"]),
    ("resume", written("metrics.jsonl", b"\xff\n{}\n"), 2, ["metrics.jsonl is damaged: line 1"]),
    ("resume", written("metrics.jsonl", b'{"step": 1, "lo'), 0, []),
    ("sample", edited("metrics.json", lambda rows: {"loss": 3}), 0, []),
    ("diagnose", edited("metrics.json", lambda rows: {"loss": {"value": "x", "verdict": "ok"}}), 2, ["metrics.json"]),
    ("diagnose", written("metrics.json", b'{"a": '), 2, ["metrics.json is damaged"]),
    ("diagnose", written("chains.nc", b"\x89HDF\r\n\x1a\n"), 2, ["chains.nc cannot be read"]),
    ("sample", written("descendants.json", b'{"a": 1}'), 0, []),
    ("sample", written("figures/captions.json", b'{"../../secret": 1, "training": [2]}'), 0, []),
    ("sample", written("checkpoints/step-4/state.json", b"[]"), 2, ["step-4 is damaged"]),
    ("sample", written("checkpoints/step-4/state.safetensors", b""), 2, ["step-4 is damaged"]),
]


@pytest.mark.parametrize(("verb", "damage", "code", "expected"), DAMAGES)
def test_a_damaged_file_is_named_or_does_no_harm(verb, damage, code, expected, here: Path, capsys) -> None:
    damage(here / ("y" if verb == "diagnose" else "x"))
    assert main(VERBS[verb]) == code
    err = capsys.readouterr().err
    errors = [line for line in err.splitlines() if line.startswith(("error", "failed"))]
    assert "Traceback" not in err and "report it" not in err
    assert len(errors) == (code == 2)
    for word in expected:
        assert word in errors[0]


def test_a_report_shows_what_is_left_of_damaged_relatives(here: Path) -> None:
    (here / "x" / "metrics.json").write_text('{"loss": 3}')
    (here / "x" / "descendants.json").write_text(f'[1, null, "{here / "y"}", "{here}"]')
    (here / "secret.png").write_bytes(b"secret")
    (here / "x" / "figures" / "captions.json").write_text('{"../../secret": "taken", "training": "kept"}')
    page = write_report(Run(here / "x")).read_text()
    assert "metrics.json is damaged" in page and "kept" in page and "taken" not in page
    # The run names itself as its own ancestor.
    config = yaml.safe_load((here / "x" / "config.yaml").read_text())
    (here / "x" / "config.yaml").write_text(yaml.safe_dump(config | {"init": str(here / "x")}))
    assert "Verdicts" in write_report(Run(here / "x")).read_text()


@pytest.mark.parametrize("event", [[{"_target_": "subprocess.Popen"}], ["x"], [2, None], [1.5]])
def test_an_invalid_shape_is_an_error_that_names_the_file(
    event: list[Any], here: Path, capsys: pytest.CaptureFixture
) -> None:
    path = here / "x" / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"event": event}))
    for words in (VERBS["sample"], VERBS["init"]):
        assert main(words) == 2
        assert f"{path} is damaged: event must hold whole numbers" in capsys.readouterr().err
