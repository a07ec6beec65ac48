"""A run records the units, columns and split of its data. Later verbs use this record for any file."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ebm_cli import load_run
from ebm_cli.assembly.data_record import keep_data_record, read_data_record
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data._rows import available_rows
from ebm_cli.data.images import Images
from ebm_cli.data.table import Table
from ebm_cli.run.folder import Run
from tests.contract import build

COLUMNS = ("tiny", "plain", "huge")
N_ROWS = 60
# A fifth of the rows, by default.
N_HELD_OUT = 12
SCALE, SHIFT = np.array([1e-6, 3.0, 1e9]), np.array([2e-5, -7.0, 4e10])
TINY = ["energy=mlp", "energy.width=8", "sampler=sgld", "start.size=16", "trainer.batch_size=8", "objective.steps=2"]


def frame(rows: int, seed: int) -> pd.DataFrame:
    """Return normal columns whose scales span fifteen orders of magnitude."""
    z = np.random.default_rng(seed).standard_normal((rows, 3))
    return pd.DataFrame(z * SCALE + SHIFT, columns=list(COLUMNS))


def recorded(data: Table | Images, folder: Path, purpose: Any = "rows") -> Any:
    """Write the record of a data set to a run's folder, and return it as read from there.

    purpose: what the record is used for; see `DataRecord`.
    """
    folder.mkdir(exist_ok=True)
    run = Run(folder)
    keep_data_record(data, run)
    record = read_data_record(run)
    assert record is not None
    return record.used_for(purpose)


def table(path: Path, **changes: Any) -> Table:
    record = changes.pop("record", None)
    return build("data", "table", {"path": str(path)} | changes, record=record)


@pytest.fixture
def trained(tmp_path: Path, float64: None) -> Table:
    """Return the data set of a run's training, from the file mine.csv."""
    frame(N_ROWS, 0).to_csv(tmp_path / "mine.csv", index=False)
    return table(tmp_path / "mine.csv")


def test_a_record_gives_the_same_held_out_rows_and_units_without_the_file(trained: Table, tmp_path: Path) -> None:
    record = recorded(trained, tmp_path / "run")
    (tmp_path / "mine.csv").unlink()
    later = table(tmp_path / "mine.csv", record=record)
    assert torch.equal(later.split("held_out").x, trained.split("held_out").x)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(later.decode(x), trained.decode(x))
    assert later.columns == list(COLUMNS) and later.event == (3,)
    assert torch.equal(available_rows(later).x, later.split("held_out").x)
    assert torch.equal(available_rows(trained).x, trained.split("train").x)
    batch = later.sample(200, torch.Generator().manual_seed(0))
    assert batch.clean is not None
    # Without the file, a batch contains only held-out rows.
    assert len(torch.cat([batch.clean, later.split("held_out").x]).unique(dim=0)) == N_HELD_OUT
    with pytest.raises(InputError, match=r"training rows, but data\.path=.*mine\.csv does not exist.*data\.path=FILE"):
        later.split("train")


def test_training_rows_are_read_from_any_file_with_the_same_values(trained, tmp_path) -> None:
    record = recorded(trained, tmp_path / "run")
    assert torch.equal(table(tmp_path / "mine.csv", record=record).split("train").x, trained.split("train").x)
    # Another order of columns and another format, but the same values.
    frame(N_ROWS, 0)[["huge", "tiny", "plain"]].to_parquet(tmp_path / "moved.parquet")
    moved = table(tmp_path / "moved.parquet", record=record)
    assert torch.equal(moved.split("train").x, trained.split("train").x)
    assert torch.equal(moved.split("held_out").x, trained.split("held_out").x)


def test_another_file_is_scaled_by_the_training_rows_and_matched_by_name(trained: Table, tmp_path: Path) -> None:
    other = frame(7, 1) * 50 + 3 * SCALE
    other[["huge", "plain", "tiny"]].assign(extra="x").to_csv(tmp_path / "new.csv", index=False)
    later = table(tmp_path / "new.csv", record=recorded(trained, tmp_path / "run"))
    train = trained.decode(trained.split("train").x)
    expected = (other.to_numpy() - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(later.split("held_out").x.numpy(), expected, rtol=1e-9)
    assert later.origin("held_out") == ("row", list(range(7)))
    found = "\n".join(later.notes)
    assert "'extra'" in found and "another order" in found and "all 7 rows" in found


@pytest.mark.parametrize("change", ["row", "value", "column"])
def test_a_file_that_has_changed_does_not_count_as_the_training_file(trained, tmp_path, change) -> None:
    record, path, changed = recorded(trained, tmp_path / "run"), tmp_path / "mine.csv", frame(N_ROWS, 0)
    if change == "row":
        changed = pd.concat([changed, frame(1, 5)])
    elif change == "value":
        changed.iloc[3, 1] += 1e-9
    else:
        changed = changed.rename(columns={"plain": "simple"})
    changed.to_csv(path, index=False)
    later = table(path, record=record)
    assert torch.equal(later.split("held_out").x, trained.split("held_out").x)
    with pytest.raises(InputError, match=r"training rows, but .*(from 60 rows to 61|other values|no column 'plain')"):
        later.split("train")
    with pytest.raises(InputError, match=r"has changed since training|no column 'plain'"):
        table(path, record=record.used_for("resume"))


def test_a_run_that_starts_from_weights_scales_its_own_file_by_the_recorded_units(trained, tmp_path) -> None:
    record = recorded(trained, tmp_path / "run", "units")
    (frame(40, 1) * 10).to_csv(tmp_path / "next.csv", index=False)
    data = table(tmp_path / "next.csv", record=record)
    both = torch.cat([data.split("train").x, data.split("held_out").x])
    train = trained.decode(trained.split("train").x)
    expected = (frame(40, 1).to_numpy() * 10 - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(np.sort(both.numpy(), 0), np.sort(expected, 0), rtol=1e-9)
    # The record of the new run has the old units and its own rows.
    kept = data.record()
    assert kept.values["scale"] == record.values["scale"] and kept.fingerprint["rows"] == 40


# How a file differs from the training file, and what the message must contain.
UNFIT = {
    "missing": (lambda f: f.drop(columns="plain"), "has no column 'plain'"),
    "renamed": (lambda f: f.rename(columns={"plain": "plan"}), "has no column 'plain'; did you mean 'plan'?"),
    "twice": (lambda f: pd.concat([f, f[["tiny"]]], axis=1), "more than one column of the name 'tiny'"),
    "text": (lambda f: f.assign(huge="x"), "not numbers: 'huge' ('x')"),
    "nothing": (lambda f: f.iloc[:0], "has no rows below its first line"),
    "gap": (lambda f: f.assign(huge=np.nan), "missing or infinite values in 7 of 7 rows"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_does_not_fit_is_refused_in_one_line(trained: Table, tmp_path: Path, case: str) -> None:
    change, expected = UNFIT[case]
    change(frame(7, 1)).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(InputError) as caught:
        table(tmp_path / "new.csv", record=recorded(trained, tmp_path / "run"))
    assert len(caught.value.messages) == 1 and expected in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("holdout_fraction", 0.5), ("seed", 3), ("columns", ["tiny"]), ("label", "plain")]
)
def test_what_belongs_to_the_run_cannot_be_changed_later(trained, tmp_path, key, value) -> None:
    with pytest.raises(InputError, match=f"^{key} belongs to the run"):
        table(tmp_path / "mine.csv", record=recorded(trained, tmp_path / "run"), **{key: value})


def test_a_constant_column_is_named_but_scored(trained: Table, tmp_path: Path) -> None:
    frame(7, 1).assign(plain=1.5).to_csv(tmp_path / "new.csv", index=False)
    later = table(tmp_path / "new.csv", record=recorded(trained, tmp_path / "run"))
    assert any("constant here" in note and "'plain'" in note for note in later.notes)
    np.testing.assert_allclose(later.decode(later.split("held_out").x)[:, 1], 1.5)


def test_columns_and_label_choose_what_is_modeled(tmp_path: Path, float64: None) -> None:
    path = tmp_path / "mine.csv"
    kinds = np.array(["cat", "dog", "bird"])[np.arange(60) % 3]
    frame(N_ROWS, 0).assign(kind=kinds, note="text").to_csv(path, index=False)
    data = table(path, columns=["huge", "tiny"], label="kind")
    assert data.columns == ["huge", "tiny"] and data.levels == ["bird", "cat", "dog"] and data.event == (2,)
    train = data.split("train")
    assert train.y is not None
    rows = data.origin("train")[1]
    assert [data.levels[i] for i in train.y.tolist()] == kinds[rows].tolist()
    np.testing.assert_allclose(data.decode(train.x), frame(N_ROWS, 0)[["huge", "tiny"]].to_numpy()[rows], rtol=1e-9)
    with pytest.raises(InputError, match="not numbers: 'note' \\('text'\\)"):
        table(path, label="kind")
    with pytest.raises(InputError, match="has no column 'hug'; did you mean 'huge'"):
        table(path, columns=["hug"])
    with pytest.raises(InputError, match="'tiny' both as label and among the columns"):
        table(path, columns=["huge", "tiny"], label="tiny")
    record = recorded(data, tmp_path / "run")
    frame(6, 1).assign(kind=["cat", "wolf"] * 3).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(
        InputError, match="levels of 'kind' that were not in the training data, 'wolf'; those were bird, cat, dog"
    ):
        table(tmp_path / "new.csv", columns=["huge", "tiny"], label="kind", record=record)
    later = table(path, columns=["huge", "tiny"], label="kind", record=record)
    scored = later.read_rows(str(tmp_path / "new.csv"))
    assert len(scored.x) == 6 and any("not in the training data, 'wolf'" in note for note in scored.notes)
    held = later.split("held_out")
    assert held.y is not None and torch.equal(held.y, data.split("held_out").y)


def test_labels_that_are_numbers_do_not_depend_on_missing_values_in_their_column(tmp_path: Path) -> None:
    for missing in (False, True):
        values: list[Any] = [float(i % 11) for i in range(40)]
        text = frame(40, 0).assign(y=[None if missing and i == 5 else int(v) for i, v in enumerate(values)])
        text.to_csv(tmp_path / "mine.csv", index=False)
        data = table(tmp_path / "mine.csv", label="y", missing="drop")
        assert data.levels == [str(i) for i in range(11)]


def test_rows_with_missing_values_can_be_dropped_and_the_others_keep_their_row_numbers(
    tmp_path: Path, float64: None
) -> None:
    path, incomplete = tmp_path / "mine.csv", frame(30, 0)
    incomplete.iloc[[2, 7], 1] = np.nan
    incomplete.iloc[11, 2] = np.inf
    incomplete.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"3 of 30 rows, in the columns 'plain', 'huge': type data.missing=drop"):
        table(path)
    data = table(path, missing="drop")
    row_numbers = [row for part in ("train", "held_out") for row in data.origin(part)[1]]
    rows = np.concatenate([data.decode(data.split(part).x) for part in ("train", "held_out")])
    assert sorted(row_numbers) == [i for i in range(30) if i not in (2, 7, 11)]
    np.testing.assert_allclose(rows, incomplete.to_numpy()[row_numbers], rtol=1e-9)
    assert any("3 of 30 rows" in note for note in data.notes)


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_a_file_without_column_names_is_read_with_header_none(tmp_path, float64, suffix, separator) -> None:
    path = tmp_path / f"mine{suffix}"
    frame(30, 0).to_csv(path, index=False, header=False, sep=separator)
    if suffix == ".csv":
        with pytest.raises(InputError, match=r"type data.header=none"):
            table(path)
    data = table(path, header="none")
    assert data.columns == ["x0", "x1", "x2"]
    rows = np.concatenate([data.decode(data.split(part).x) for part in ("train", "held_out")])
    np.testing.assert_allclose(np.sort(rows, 0), np.sort(frame(30, 0).to_numpy(), 0), rtol=1e-9)


@pytest.mark.parametrize(("trained", "other"), [("none", "names"), ("names", "none")])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_if_only_one_of_two_files_has_column_names_the_message_says_what_to_type(
    tmp_path, float64, trained, other, suffix
) -> None:
    separator = {".csv": ",", ".tsv": "\t"}[suffix]
    old, new = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    frame(N_ROWS, 0).to_csv(old, index=False, header=trained == "names", sep=separator)
    frame(9, 1).to_csv(new, index=False, header=other == "names", sep=separator)
    record = recorded(table(old, header=trained), tmp_path / "run")
    data = table(old, header=trained, record=record)
    with pytest.raises(InputError) as caught:
        data.read_rows(str(new))
    (message,) = caught.value.messages
    assert f"type data.header={other}" in message and "training file" in message
    assert ("names in its first line, 'tiny'" if other == "names" else "has no names") in message
    # The header that the message gives works, and a note says how columns are matched.
    typed = table(old, header=other, record=record)
    rows = typed.read_rows(str(new))
    np.testing.assert_allclose(typed.decode(rows.x), frame(9, 1).to_numpy(), rtol=1e-12)
    assert len(rows.notes) == 1 and "matched by position" in rows.notes[0]
    # The run's own file is still read as it was in training.
    assert torch.equal(typed.split("train").x, data.split("train").x)
    frame(9, 1).iloc[:, :2].to_csv(new, index=False, header=other == "names", sep=separator)
    with pytest.raises(InputError, match="has 2 columns for the run's 3"):
        typed.read_rows(str(new))


def test_only_tabs_separate_the_columns_of_a_tsv_file(tmp_path: Path, float64: None) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("name, first\tb\n" + "".join(f"{i}.5\t{i * i}\n" for i in range(20)))
    assert table(path).columns == ["name, first", "b"]


def pictures(folder: Path, count: int, side: int, seed: int = 0) -> Path:
    """Write color pictures of random pixels to a new folder, and return the folder."""
    folder.mkdir()
    levels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    for i, each in enumerate(levels):
        Image.fromarray(each).save(folder / f"p{i:02d}.png")
    return folder


def test_pictures_keep_their_shape_split_and_held_out_rows_without_the_folder(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", 20, 8)
    data = build("data", "images", {"path": str(folder), "size": 8})
    record = recorded(data, tmp_path / "run")
    shutil.rmtree(folder)
    later = build("data", "images", {"path": str(folder), "size": 8}, record=record)
    assert torch.equal(later.split("held_out").x, data.split("held_out").x)
    assert later.origin("held_out") == data.origin("held_out")
    with pytest.raises(InputError, match=r"training rows, but data.path=.*mine does not exist"):
        later.split("train")
    with pytest.raises(InputError, match=r"^size belongs to the run, where it is \[8, 8\]"):
        build("data", "images", {"path": str(folder), "size": 16}, record=record)
    other = pictures(tmp_path / "other", 3, 12, seed=1)
    new = build("data", "images", {"path": str(other), "size": 8}, record=record)
    assert new.event == (3, 8, 8) and len(new.split("held_out").x) == 3
    assert any("3 pictures of sizes that were not in the training set (12×12 pixels)" in note for note in new.notes)


def test_a_run_names_what_changed_in_its_file_and_works_from_its_record(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    frame(100, 0).to_csv("mine.csv", index=False)
    assert main(["train", "data=table", "data.path=mine.csv", *TINY, "trainer.steps=4", "out=run"]) == 0
    capsys.readouterr()
    assert main(["sample", "run=run", "chains=6", "steps=4", "burn_in=0", "thin=4", "out=before"]) == 0
    (frame(100, 1) * 7).to_csv("mine.csv", index=False)
    assert main(["sample", "run=run", "chains=6", "steps=4", "burn_in=0", "thin=4", "out=after"]) == 0
    assert Path("before/samples.csv").read_text() == Path("after/samples.csv").read_text()
    capsys.readouterr()
    assert main(["train", "resume=run", "trainer.steps=6"]) == 2
    error = capsys.readouterr().err
    assert "mine.csv has changed since training" in error and len(error.strip().splitlines()) == 1
    assert main(["evaluate", "run=run", "metric=[moments]", "samples=8", "steps=2", "out=eval"]) == 0
    assert "has changed since training: its 100 rows have other values" in capsys.readouterr().err
    # On another machine, where neither the folder nor the file is where it was.
    Path("elsewhere").mkdir()
    Path("run").rename("elsewhere/moved")
    Path("mine.csv").unlink()
    assert main(["sample", "run=elsewhere/moved", "chains=6", "steps=4", "burn_in=0", "thin=4", "out=moved"]) == 0
    assert Path("before/samples.csv").read_text() == Path("moved/samples.csv").read_text()
    loaded = load_run("elsewhere/moved")
    assert loaded.energy(torch.zeros(2, 3)).shape == (2,)
    assert loaded.data is not None
    drawn = pd.read_csv("before/samples.csv").to_numpy()
    states = torch.from_numpy(np.load("before/samples.npy"))
    np.testing.assert_allclose(loaded.data.decode(states), drawn, rtol=1e-12)


def test_a_run_without_a_record_is_read_only_from_its_own_file(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    frame(100, 0).to_csv("mine.csv", index=False)
    frame(100, 1).to_csv("other.csv", index=False)
    assert main(["train", "data=table", "data.path=mine.csv", *TINY, "trainer.steps=4", "out=run"]) == 0
    # Runs of an older format have no record.
    shutil.rmtree("run/checkpoints/data")
    capsys.readouterr()
    assert main(["sample", "run=run", "chains=6", "steps=4", "burn_in=0", "thin=4", "out=drawn"]) == 0
    assert "keeps no units of its data" in capsys.readouterr().err
    assert main(["evaluate", "run=run", "data.path=other.csv", "metric=[moments]", "samples=8", "steps=2"]) == 2
    assert "cannot read data.path=other.csv" in capsys.readouterr().err
