"""Test TensorBoard's records of every verb: groups, descriptions, and comparison by hyperparameter and verdict."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util

from ebm_cli.cli import main
from ebm_cli.logger import tags
from ebm_cli.run.folder import Run

TRAIN = ["data=two_moons", "experiment=null", "energy.width=8", "trainer.steps=4", "trainer.log_every=1", "threads=1"]
SMALL = ["trainer.batch_size=16", "start.size=32", "objective.steps=1", "trainer.checkpoint_every=4"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run and its samples."""
    here = tmp_path_factory.mktemp("runs")
    assert main(["train", *TRAIN, *SMALL, "sampler.temperature=0.5", f"out={here / 'train'}"]) == 0
    words = [f"run={here / 'train'}", "chains=4", "steps=8", "thin=1", "threads=1"]
    assert main(["sample", *words, "sampler=of_run", f"out={here / 'sample'}"]) == 0
    return {"train": here / "train", "sample": here / "sample"}


def shown(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()


def text(board: EventAccumulator, tag: str) -> str:
    return tensor_util.make_ndarray(board.Tensors(tag)[-1].tensor_proto).item().decode()


def started(board: EventAccumulator) -> dict[str, Any]:
    """The hyperparameters of a run."""
    content = board.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    values = hparams.parse_session_start_info_plugin_data(content).hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in values.items()}


def test_scalars_are_those_of_metrics_jsonl_in_groups_with_descriptions(runs: dict[str, Path]) -> None:
    board, rows = shown(runs["train"]), Run(runs["train"]).history()
    names = {name for row in rows for name in row} - {"step"}
    assert {"loss", "e_data", "e_model", "gap", "sample_mmd"} <= names
    for name in names:
        events = [(event.step, event.value) for event in board.Scalars(tags.tag(name))]
        assert events == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows if name in row]
        assert board.SummaryMetadata(tags.tag(name)).summary_description == tags.DESCRIPTIONS[name][1]
    assert set(board.Tags()["scalars"]) == {tags.tag(name) for name in names} | {"2_verdict/worst"}
    assert not [path for path in runs["train"].glob("**/events.*") if path.parent != runs["train"]]


def test_the_first_group_and_the_first_category_hold_loss_both_energies_and_the_gap(runs: dict[str, Path]) -> None:
    board = shown(runs["train"])
    first = sorted({tag.partition("/")[0] for tag in board.Tags()["scalars"]})[0]
    wanted = {f"{first}/{name}" for name in ("loss", "e_data", "e_model", "gap")}
    assert {tag for tag in board.Tags()["scalars"] if tag.startswith(f"{first}/")} == wanted
    content = tensor_util.make_ndarray(board.Tensors("custom_scalars__config__")[-1].tensor_proto).item()
    layout = layout_pb2.Layout.FromString(content)
    drawn = [tag for chart in layout.category[0].chart for tag in chart.multiline.tag]
    assert {tag.strip("^$") for tag in drawn} == wanted
    # No chart is empty: nll was not asked for.
    assert "nll" not in str(layout)


def test_runs_compare_by_hyperparameter_and_by_verdict(runs: dict[str, Path]) -> None:
    found = started(shown(runs["train"]))
    assert found["sampler.temperature"] == 0.5 and found["energy"] == "mlp" and found["sampler"] == "sgld"
    assert found["trainer.steps"] == 4 and found["energy.width"] == 8 and found["optimizer.lr"] > 0
    assert "out" not in found
    for folder in runs.values():
        verdicts = [row["verdict"] for row in json.loads((folder / "metrics.json").read_text()).values()]
        worst = min(["refused", "caution", "ok"].index(verdict) for verdict in verdicts)
        assert [event.value for event in shown(folder).Scalars("2_verdict/worst")] == [worst]
    # Four steps of four chains: this must not look like a run that mixed.
    assert shown(runs["sample"]).Scalars("2_verdict/worst")[0].value == 0


def test_a_verb_shows_its_numbers_figures_and_texts(runs: dict[str, Path]) -> None:
    board, run = shown(runs["sample"]), Run(runs["sample"])
    value = run.metrics()["r_hat_max"]["value"]
    assert board.Scalars("sample/r_hat_max")[0].value == pytest.approx(value)
    assert "sample/energy" not in board.Tags()["scalars"] and run.metrics()["energy"]["verdict"] == "refused"
    for name, caption in run.captions().items():
        assert board.SummaryMetadata(f"figures/{name}").summary_description == caption
        assert board.Images(f"figures/{name}")[0].encoded_image_string == (run.figures / f"{name}.png").read_bytes()
    assert "chains=4" in text(board, "command") and "not mixed" in text(board, "judgment").lower()
    assert run.metrics()["mixing"]["reason"].split(";")[0] in text(board, "numbers")
    assert "width: 8" in text(board, "whole configuration")


def test_histograms_of_both_energies_come_with_every_logged_step(runs: dict[str, Path]) -> None:
    board = shown(runs["train"])
    for name in ("data", "model"):
        events = board.Tensors(f"energies/{name}")
        assert [event.step for event in events] == [1, 2, 3, 4]
        counts = [tensor_util.make_ndarray(event.tensor_proto)[:, 2].sum() for event in events]
        assert counts == [16] * 4
