"""Tables of categories: rows come back as the texts of the file, and what does not fit is refused by name."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ebm_cli import load_run
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data._sites import Sites
from ebm_cli.data.table import Table
from tests.contract import build

LEVELS = {"cap": ["bell", "conical", "flat"], "bruises": ["no", "yes"], "odor": ["almond", "foul", "none", "pungent"]}


def mushrooms(rows: int) -> pd.DataFrame:
    """Rows of categories; the odor follows the cap in four of five rows."""
    random = np.random.default_rng(0)
    numbers = {name: random.integers(len(levels), size=rows) for name, levels in LEVELS.items()}
    numbers["odor"] = np.where(random.random(rows) < 0.8, numbers["cap"], numbers["odor"])
    return pd.DataFrame({name: np.array(LEVELS[name])[index] for name, index in numbers.items()})


def table(path: Path, frame: pd.DataFrame, **changes: object) -> Table:
    frame.to_csv(path, index=False)
    return build("data", "table", {"path": str(path), "noise": 0.0} | changes)


def rows_back(data: Table) -> list[list[str]]:
    """Both parts as texts, sorted."""
    return sorted(row for part in ("train", "held_out") for row in data.decode(data.split(part).x).tolist())


def test_rows_are_one_hot_and_come_back_as_texts(tmp_path: Path) -> None:
    frame = mushrooms(60)
    data = table(tmp_path / "mine.csv", frame)
    assert data.space == "categorical" and data.event == (3, 4) and data.columns == list(LEVELS)
    assert Sites("categorical", (3, 4)).contain(data.sample(50, torch.Generator().manual_seed(0)).x)
    assert rows_back(data) == sorted(frame.to_numpy().tolist())
    # Two levels of four categories: the other two have no level.
    x = torch.eye(4)[[0, 3, 2]][None]
    assert data.decode(x).tolist() == [["bell", "", "none"]]


def test_truth_values_parquet_categories_and_a_label_are_taken(tmp_path: Path) -> None:
    frame = mushrooms(40).assign(edible=np.arange(40) % 3 == 0)
    frame["cap"] = frame["cap"].astype("category")
    frame.to_parquet(tmp_path / "mine.parquet")
    data = build("data", "table", {"path": str(tmp_path / "mine.parquet"), "noise": 0.0, "label": "odor"})
    assert data.columns == ["cap", "bruises", "edible"] and data.levels == LEVELS["odor"]
    assert rows_back(data) == sorted(frame.drop(columns="odor").astype(str).to_numpy().tolist())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"weight": range(60)}, "not numbers: 'cap' .* numbers and categories cannot be mixed"),
        ({"odor": "none"}, r"constant over the 48 training rows, 'odor' \('none'\)"),
        ({"odor": [*"abc"] * 19 + ["", "", ""]}, "missing values in 3 of 60 rows, in the columns 'odor'"),
        ({"size": ["?", "1", "2"] * 20}, r"not numbers: .*'size' \('\?'\)"),
    ],
)
def test_columns_that_are_no_categories_are_named(change: dict, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        table(tmp_path / "mine.csv", mushrooms(60).assign(**change))


def test_names_of_rows_are_no_categories_and_noise_is_refused(tmp_path: Path) -> None:
    frame = mushrooms(150)
    with pytest.raises(InputError, match=r"more levels than 100, .*: 'id' \(150 levels\)"):
        table(tmp_path / "mine.csv", frame.assign(id=[f"row {i}" for i in range(150)]))
    with pytest.raises(InputError, match=r"^noise must be 0 for a table of categories, got 0.1$"):
        table(tmp_path / "mine.csv", frame, noise=0.1)


def test_a_table_of_categories_is_trained_sampled_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = mushrooms(400)
    frame.to_csv("mine.csv", index=False)
    small = ["energy=mlp", "energy.width=16", "trainer.steps=10", "trainer.batch_size=32", "objective.steps=2"]
    assert main(["train", "data=table", "data.path=mine.csv", "experiment=null", *small, "threads=1", "out=run"]) == 0
    assert main(["sample", "run=run", "chains=8", "steps=10", "out=drawn", "threads=1"]) == 0
    with Path("drawn/samples.csv").open(newline="") as file:
        names, *drawn = csv.reader(file)
    assert names == list(LEVELS) and len(drawn) == 8
    quick = ["metric=[nll]", "metric.nll.baselines=[bernoulli,tree]", "out=scored", "threads=1"]
    assert main(["evaluate", "run=run", *quick]) == 0
    model = load_run("run")
    x = model.encode(frame.to_numpy())
    assert model.decode(x).tolist() == frame.to_numpy().tolist()
    # The 4³ states are enumerated.
    states = Sites("categorical", (3, 4)).enumerated(0, 64, torch.device("cpu"), torch.float32)
    assert float(model.log_prob(states).detach().logsumexp(0)) == pytest.approx(0, abs=1e-5)
    with pytest.raises(InputError, match=r"levels of 'cap' that were not in the training data, 'round'"):
        model.encode(np.array([["round", "no", "foul"]]))


def test_rows_of_another_file_are_matched_by_name_and_new_levels_are_named(tmp_path: Path) -> None:
    frame = mushrooms(200)
    data = table(tmp_path / "mine.csv", frame)
    frame.iloc[:20, ::-1].to_csv(tmp_path / "new.csv", index=False)
    found = data.read_rows(str(tmp_path / "new.csv"))
    assert data.decode(found.x).tolist() == frame.iloc[:20].to_numpy().tolist()
    assert any("another order" in note for note in found.notes)
    frame.iloc[:20].assign(odor="musty").to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(InputError, match="levels of 'odor' that were not in the training data, 'musty'; those were"):
        data.read_rows(str(tmp_path / "new.csv"))
