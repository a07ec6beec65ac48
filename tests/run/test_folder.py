"""Test a run's folder: it is never reused, its files are read as they were written, and damage is reported."""

import inspect
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ebm_cli.assembly.build import locate
from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate, refused
from ebm_cli.run import old_formats, renamed_keys
from ebm_cli.run.disk_use import prune
from ebm_cli.run.folder import Run
from ebm_cli.run.new_folder import new_folder
from ebm_cli.run.writing import write_text
from tests.contract import build


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 2, 12, 0, 0)

    monkeypatch.setattr("ebm_cli.run.new_folder.datetime", Clock)


def with_checkpoints(folder: Path, *steps: int) -> Run:
    run = Run(folder)
    for step in steps:
        (run.checkpoints / f"step-{step}").mkdir(parents=True)
    return run


def test_runs_of_the_same_second_get_different_folders(
    tmp_path: Path, noon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [new_folder("train", "mlp", None) for _ in range(3)]
    names = ["12-00-00-mlp", "12-00-00-mlp-2", "12-00-00-mlp-3"]
    assert folders == [tmp_path / "outputs" / "train" / "2026-01-02" / name for name in names]
    assert all(folder.is_dir() for folder in folders)


def test_out_is_the_folder_itself_and_is_never_reused(tmp_path: Path) -> None:
    out = tmp_path / "some" / "where"
    assert new_folder("train", "mlp", str(out)) == out and out.is_dir()
    with pytest.raises(InputError, match=r"exists already.*resume="):
        new_folder("train", "mlp", str(out))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../up", "a=b", "a,b", "ünï", "a\n", "a;b"])
def test_a_bad_name_is_an_input_error_and_leaves_no_folder(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="name must be"):
        new_folder("train", name, None)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        new_folder("train", "mlp", str(tmp_path / "file" / "run"))


def test_the_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    config = {"seed": 0, "lr": 1e-5, "event": [2], "text": "½‖x‖²", "none": None, "made": {"format": 1}}
    Run(tmp_path).write_config(config)
    assert Run(tmp_path).config() == config


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no config.yaml"),
        (b"a: [1, 2", "damaged"),
        (b"\xff\xfe\xff", "damaged"),
        (b"", "does not describe a run"),
        (b"- 1", "does not describe a run"),
        (b"seed: 0", "does not describe a run"),
        (b"made: 3", "does not describe a run"),
        (b"made: {format: 99}", "newer than this ebm reads"),
        (b"made: {format: two}", "config.yaml"),
    ],
)
def test_a_folder_without_a_readable_configuration_is_an_input_error(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        Run(tmp_path).config()
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Run(tmp_path / "gone").config()


def test_metrics_are_flat_and_null_where_refused(tmp_path: Path) -> None:
    Run(tmp_path).write_metrics({"nll": Estimate(1.5, se=0.1, unit="nats"), "kl": refused("why")})
    assert Run(tmp_path).metrics() == {
        "nll": {"value": 1.5, "se": 0.1, "unit": "nats", "verdict": "ok", "reason": ""},
        "kl": {"value": None, "verdict": "refused", "reason": "why"},
    }


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"\xff\xfe\xff"])
def test_metrics_that_cannot_be_read_are_empty(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_bytes(content)
    assert Run(tmp_path).metrics() == {}


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', '{"step": 3}', "{"])
def test_a_torn_last_line_of_the_history_is_dropped(tmp_path: Path, torn: str) -> None:
    run = Run(tmp_path)
    assert run.history() == []
    run.log_metrics({"step": 1, "loss": 0.5})
    run.log_metrics({"step": 2, "loss": 0.25})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    assert [row["step"] for row in run.history()] == [1, 2]


def test_history_beyond_a_step_is_removed_and_continues_without_a_gap(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.cut_history(0)
    for step in (10, 20, 30):
        run.log_metrics({"step": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    run.cut_history(20)
    run.log_metrics({"step": 25})
    assert [row["step"] for row in run.history()] == [10, 20, 25]


def test_checkpoints_are_found_by_pointer_and_by_step(tmp_path: Path) -> None:
    run = with_checkpoints(tmp_path, 5, 10)
    (run.checkpoints / "last").write_text("step-10\n")
    (run.checkpoints / "best").write_text("step-5\n")
    (run.checkpoints / ".aside-x").mkdir()
    assert run.steps() == [5, 10]
    assert run.checkpoint("last").name == run.checkpoint(10).name == run.checkpoint("10").name == "step-10"
    assert run.checkpoint("best").name == "step-5"


@pytest.mark.parametrize("which", ["last", "best", "first", "7", 7])
def test_a_checkpoint_that_is_not_there_is_an_input_error(tmp_path: Path, which: str | int) -> None:
    with pytest.raises(InputError):
        with_checkpoints(tmp_path, 5).checkpoint(which)


@pytest.mark.parametrize("name", ["step-9", "", ".", ".."])
def test_a_pointer_to_no_checkpoint_is_an_input_error(tmp_path: Path, name: str) -> None:
    run = with_checkpoints(tmp_path, 5)
    (run.checkpoints / "last").write_text(name)
    with pytest.raises(InputError, match=r"it has steps \[5\]"):
        run.checkpoint("last")


def test_pruning_keeps_the_newest_and_the_named_checkpoints(tmp_path: Path) -> None:
    run = with_checkpoints(tmp_path, 1, 2, 3, 4, 5)
    (run.checkpoints / "last").write_text("step-5\n")
    (run.checkpoints / "best").write_text("step-2\n")
    prune(run, keep=2, spare=["step-1"])
    assert run.steps() == [1, 2, 4, 5]


def test_an_interrupted_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")

    def failing(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_run_of_an_older_format_is_read_with_its_meaning(tmp_path: Path) -> None:
    old = {
        "energy": {"_target_": "ebm_cli.energy.mlp.MLP", "width": 8, "depth": 2, "confinement": 1.0},
        "start": {"_target_": "ebm_cli.start.noise.Noise", "law": "uniform", "scale": 1.0},
        "trainer": {"steps": 5},
        "run": None,
        "made": {"format": 1},
    }
    run = Run(tmp_path)
    run.write_config(old)
    read = run.config()
    added = {"frequencies": 0, "bandwidth": 1.0, "noise_level": None, "base_components": 0, "spectral_norm": None}
    assert read["energy"] == old["energy"] | added
    assert read["start"] == {"_target_": old["start"]["_target_"], "distribution": "uniform", "scale": 1.0}
    assert read["trainer"]["max_rollbacks"] == 0
    energy = build("energy", "mlp", event=(2,), changes={k: v for k, v in read["energy"].items() if k != "_target_"})
    # What such a run saved fits what is built today.
    assert list(energy.state_dict()) == [
        "net.0.weight",
        "net.0.bias",
        "net.2.weight",
        "net.2.bias",
        "net.4.weight",
        "net.4.bias",
    ]


def test_default_arguments_of_older_runs_are_parameters_of_their_class() -> None:
    for target, added in old_formats.DEFAULTS_FOR_OLD_FORMATS.items():
        assert set(added) <= set(inspect.signature(locate(target)).parameters)


def test_renamed_keys_are_parameters_of_their_class_and_old_names_are_not() -> None:
    for target, names in renamed_keys.RENAMED.items():
        parameters = set(inspect.signature(locate(target)).parameters)
        assert set(names.values()) <= parameters and not names.keys() & parameters, target


def test_old_names_are_read_at_any_depth_of_a_stored_run() -> None:
    hmc = {"_target_": "ebm_cli.sampler.hmc.HMC", "jitter": 0.3}
    old = {"replaced": {"sampler": hmc}, "trainer": {"average": 0.9}, "energy": {"_target_": "mine.Ring", "jitter": 1}}
    read = renamed_keys.with_new_names(old)
    assert read["replaced"]["sampler"] == {"_target_": hmc["_target_"], "step_size_jitter": 0.3}
    assert read["trainer"] == {"ema_decay": 0.9} and read["energy"] == old["energy"]


def test_an_empty_out_is_an_input_error() -> None:
    with pytest.raises(InputError, match="out must be a folder's name, got nothing"):
        new_folder("train", "mlp", "")


def test_what_a_reader_of_a_configuration_changes_is_not_what_the_next_one_reads(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_config({"made": {"verb": "sample", "format": old_formats.FORMAT}, "sampler": {"step_size": 0.1}})
    run.config()["sampler"]["step_size"] = 9.0
    assert run.config()["sampler"]["step_size"] == 0.1
    run.write_config({"made": {"verb": "sample", "format": old_formats.FORMAT}, "sampler": {"step_size": 0.2}})
    assert run.config()["sampler"]["step_size"] == 0.2
