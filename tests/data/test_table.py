"""Table: the numbers of a file are scaled and restored, and files without a table of numbers are refused by name."""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data.table import Table
from tests.contract import PACKAGE, build, scratch


@cache
def example() -> dict[str, Any]:
    """What conf/data/table.yaml leaves to the user, for the tests that build every YAML."""
    path = scratch() / "table.csv"
    numbers(60, 3).to_csv(path, index=False)
    return {"path": str(path), "noise": 0.1}


def numbers(rows: int, columns: int) -> pd.DataFrame:
    """Normal columns of very different means and scales."""
    z = np.random.default_rng(0).standard_normal((rows, columns))
    scale, shift = 10.0 ** (np.arange(columns) % 7 - 3), 5.0 * np.arange(columns)
    return pd.DataFrame(z * scale + shift, columns=[f"c{i}" for i in range(columns)])


def table(path: Path, **changes: Any) -> Table:
    return build("data", "table", {"path": str(path)} | changes)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def rows_back(data: Table) -> np.ndarray:
    """Both parts in their own units."""
    return np.concatenate([data.decode(data.split(part).x) for part in ("train", "held_out")])


def same_rows(found: np.ndarray, expected: np.ndarray, **tolerance: float) -> None:
    """Compare sets of rows: a split changes their order."""
    order, other = found[:, 0].argsort(), expected[:, 0].argsort()
    np.testing.assert_allclose(found[order], expected[other], **tolerance)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy", ".CSV"])
def test_every_format_gives_the_same_rows_back(suffix: str, tmp_path: Path, float64: None) -> None:
    frame, path = numbers(50, 4), tmp_path / f"mine{suffix}"
    if suffix == ".npy":
        np.save(path, frame.to_numpy())
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    data = table(path)
    assert data.columns == ([f"x{i}" for i in range(4)] if suffix == ".npy" else list(frame.columns))
    assert data.event == (4,) and data.finite
    same_rows(rows_back(data), frame.to_numpy(), rtol=1e-13)


def test_training_rows_have_mean_0_and_sd_1_in_every_column(tmp_path: Path, float64: None) -> None:
    numbers(200, 7).to_csv(tmp_path / "mine.csv", index=False)
    data = table(tmp_path / "mine.csv")
    train, held_out = data.split("train").x, data.split("held_out").x
    assert len(train) == 160 and len(held_out) == 40
    assert train.mean(0).abs().max() < 1e-12
    assert (train.std(0, correction=0) - 1).abs().max() < 1e-12
    assert held_out.mean(0).abs().min() > 1e-6


def test_decoding_float32_states_is_exact_to_float64(tmp_path: Path) -> None:
    frame = numbers(50, 2)
    frame["c1"] += 1e9
    frame.to_csv(tmp_path / "mine.csv", index=False)
    data = table(tmp_path / "mine.csv")
    train = data.split("train").x
    assert train.dtype == torch.float32 and data.decode(train).dtype == np.float64
    # Of a mean of 1e9 float32 would leave nothing below 64.
    sd = frame["c1"].std()
    same_rows(rows_back(data)[:, ::-1], frame.to_numpy()[:, ::-1], rtol=0, atol=1e-6 * sd + 1e-6)


def test_another_seed_holds_out_other_rows_and_a_share_is_at_least_one_row(tmp_path: Path) -> None:
    numbers(40, 2).to_csv(tmp_path / "mine.csv", index=False)
    first, second = (table(tmp_path / "mine.csv", seed=seed).split("held_out").x for seed in (0, 1))
    assert first.shape == second.shape == (8, 2) and not torch.equal(first, second)
    assert len(table(tmp_path / "mine.csv", holdout_fraction=1e-6).split("held_out").x) == 1
    with pytest.raises(InputError, match="constant over the 1 training rows"):
        table(tmp_path / "mine.csv", holdout_fraction=0.999)


def test_parts_keep_the_order_of_the_file(tmp_path: Path) -> None:
    pd.DataFrame({"t": range(30), "u": np.arange(30) ** 2}).to_csv(tmp_path / "mine.csv", index=False)
    data = table(tmp_path / "mine.csv")
    for part in ("train", "held_out"):
        assert (data.split(part).x[:, 0].diff() > 0).all()


def test_batches_are_training_rows_with_the_jitter_asked_for(tmp_path: Path) -> None:
    numbers(50, 3).to_csv(tmp_path / "mine.csv", index=False)
    data = table(tmp_path / "mine.csv", noise=0.3)
    batch = data.sample(4000, torch.Generator().manual_seed(0))
    assert batch.clean is not None and batch.y is None
    train = data.split("train").x
    assert len(torch.cat([batch.clean, train]).unique(dim=0)) == len(train) == 40
    assert float((batch.x - batch.clean).std()) == pytest.approx(0.3, abs=4 * 0.3 / (2 * 12_000) ** 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n{};{}\n",
        "a\tb\n{}\t{}\n",
        "a|b\n{}|{}\n",
        "a, b\n{}, {}\n",
        "\ufeffa,b\n{},{}\n",
        '"a";"b"\n{};{}\n',
        "a,b\r\n{},{}\r\n",
        "\n\na,b\n{},{}\n",
    ],
)
def test_the_delimiter_is_found(text: str, tmp_path: Path, float64: None) -> None:
    cut = text.index("{") if "{" in text else 0
    values = [(i + 0.25, -i * i) for i in range(20)]
    path = tmp_path / "mine.csv"
    path.write_bytes((text[:cut] + "".join(text[cut:].format(*pair) for pair in values)).encode())
    data = table(path)
    assert data.columns == ["a", "b"]
    same_rows(rows_back(data), np.array(values), rtol=1e-12, atol=1e-12)


def test_decimal_commas_of_a_semicolon_file_are_decimals(tmp_path: Path, float64: None) -> None:
    lines = "".join(f"{i},5;{i}\n" for i in range(20))
    data = table(written(tmp_path / "mine.csv", "a;b\n" + lines))
    same_rows(rows_back(data), np.array([(i + 0.5, i) for i in range(20)]), rtol=1e-12, atol=1e-12)


def test_commas_that_may_part_thousands_are_not_taken_for_decimals(tmp_path: Path) -> None:
    lines = "".join(f"{i + 1},250;{i}\n" for i in range(20))
    with pytest.raises(InputError, match="not numbers: 'a' \\('1,250'\\)"):
        table(written(tmp_path / "mine.csv", "a;b\n" + lines))


def test_whole_numbers_and_every_number_type_of_parquet_are_taken(tmp_path: Path, float64: None) -> None:
    base = np.arange(20)
    frame = pd.DataFrame(
        {kind: (base * 3 % 20).astype(kind) for kind in ("int8", "uint16", "int64", "float32", "float64")}
        | {"nullable": pd.array(base, dtype="Int64"), "nullable float": pd.array(base / 4, dtype="Float64")}
    )
    frame.to_parquet(tmp_path / "mine.parquet", index=True)
    data = table(tmp_path / "mine.parquet")
    assert data.columns == list(frame.columns)
    same_rows(rows_back(data), frame.to_numpy(float), rtol=1e-12, atol=1e-12)


def test_columns_named_by_numbers_that_count_upwards_are_names(tmp_path: Path) -> None:
    for names in (["0", "1", "2"], ["2019", "2020", "2021"]):
        numbers(20, 3).set_axis(names, axis=1).to_csv(tmp_path / "mine.csv", index=False)
        assert table(tmp_path / "mine.csv").columns == names


def test_all_rows_of_a_large_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    block = "\n".join(",".join(f"{value:.6f}" for value in row) for row in numbers(1000, 20).to_numpy()) + "\n"
    path.write_text(",".join(f"c{i}" for i in range(20)) + "\n" + block * 100)
    assert len(table(path).split("train").x) == 80_000


def test_readers_are_imported_where_a_file_is_read_and_not_before() -> None:
    early = re.compile(r"^(?:from|import) (?:pandas|pyarrow|PIL).*", re.MULTILINE)
    assert [str(path) for path in (PACKAGE / "data").glob("*.py") if early.search(path.read_text())] == []


GOOD = [[float(i), float(i * i)] for i in range(20)]


def lines(rows: list[list[Any]], names: str = "a,b") -> str:
    return names + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


# Content and what the one line of the message must hold.
REFUSED = {
    "nothing": ("", ["is empty"]),
    "no rows": ("a,b\n", ["at least 10 rows, got 0"]),
    "few rows": (lines(GOOD[:9]), ["at least 10 rows, got 9"]),
    "no names": (lines(GOOD, "0.5,0.25"), ["first line must name the columns", "0.5"]),
    "missing": (lines([*GOOD, ["", 3.5], ["", ""], [7, "NA"]]), ["3 of 23 rows", "'a', 'b'", "drop"]),
    "infinite": (lines([*GOOD, [5, "inf"]]), ["1 of 21 rows", "'b'"]),
    "text": (lines([*GOOD, ["?", 3]]), ["not numbers: 'a' ('?')", "numbers and categories cannot be mixed"]),
    "truth values": (lines([[a, a > 5] for a, _ in GOOD]), ["not numbers: 'b' ('False')"]),
    "dates": (lines([[a, "2024-01-01"] for a, _ in GOOD]), ["'b' ('2024-01-01')"]),
    "constant": (lines([[a, 4.1] for a, _ in GOOD]), ["constant over the 16 training rows, 'b'"]),
    "an index": (lines([[i, *row] for i, row in enumerate(GOOD)], ",a,b"), ["column 1", "row numbers 0…19"]),
    "an index by its name": (lines([[i, i**2] for i in range(20)], "Unnamed: 0,b"), ["column 1", "row numbers"]),
    "a nameless column": (lines([[a, b, a + 1] for a, b in GOOD], "a,b,"), ["no name for column 3", "name it"]),
    "a name twice": (lines(GOOD, "a,a"), ["more than one column of the name 'a'"]),
    "rows beyond the names": (lines([[9, *row] for row in GOOD]), ["2 names for 3 fields"]),
    "row numbers without a name": (lines([[i, *row] for i, row in enumerate(GOOD)]), ["2 names for 3 fields"]),
    "a comma at every end": (lines([[*row, ""] for row in GOOD]), ["2 names for 3 fields"]),
    "a longer line": (lines([*GOOD * 2, [1, 2, 3]]), ["cannot be read", "line 42"]),
    "too large": (lines([[a, b * 1e300] for a, b in GOOD]), ["too large", "'b'"]),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_is_no_table_of_numbers_is_refused_in_a_line(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED[case]
    path = written(tmp_path / "mine.csv", text)
    with pytest.raises(InputError) as caught:
        table(path)
    (message,) = caught.value.messages
    assert message.startswith(f"path={path} ")
    assert all(word in message for word in expected), message


def test_all_that_is_wrong_with_a_table_is_said_at_once(tmp_path: Path) -> None:
    rows = [[i, 1, "x", i, i] for i in range(20)]
    path = written(tmp_path / "mine.csv", lines([*rows, [20, 1, "y", "", 4]], ",one,kind,b,b"))
    with pytest.raises(InputError) as caught:
        table(path)
    found = "\n".join(caught.value.messages)
    assert len(caught.value.messages) == 5
    assert all(word in found for word in ("column 1", "'one'", "'kind'", "1 of 21", "name 'b'"))


def test_categories_dates_and_objects_of_parquet_are_refused_by_name(tmp_path: Path) -> None:
    frame = numbers(20, 1).assign(
        kind=pd.Categorical(["u", "v"] * 10),
        day=pd.date_range("2024-01-01", periods=20),
        empty=pd.Series([None] * 20, dtype=object),
    )
    frame.to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(InputError, match=r"'kind' .*'day' .*'empty' ") as caught:
        table(tmp_path / "mine.parquet")
    assert len(caught.value.messages) == 1


def test_missing_whole_numbers_of_parquet_are_counted(tmp_path: Path) -> None:
    frame = numbers(20, 1).assign(n=pd.array([None, *range(19)], dtype="Int64"))
    frame.to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(InputError, match="1 of 20 rows, in the columns 'n'"):
        table(tmp_path / "mine.parquet")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros(20), r"\(20,\)"),
        (np.zeros((20, 2, 2)), r"\(20, 2, 2\)"),
        (np.arange(40).reshape(20, 2) * 1j, "'x0'"),
        (np.array([["a", "b"]] * 20), "'x0' \\('a'\\)"),
        (np.array([[{}, 1]] * 20, dtype=object), "cannot be read: Object arrays"),
        (np.zeros((20, 0)), "no columns"),
        (np.zeros((0, 2)), "got 0"),
    ],
)
def test_an_array_that_is_no_table_is_refused(array: np.ndarray, expected: str, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=expected):
        table(tmp_path / "mine.npy")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
@pytest.mark.parametrize("content", [b"\x93NUMPY\x01\x00 \x00broken", b"PAR1\x00\xffgarbagePAR1", b"\x89\x00\xff" * 50])
def test_a_damaged_file_is_refused_in_a_line(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        table(path)
    assert len(caught.value.messages) == 1 and "\n" not in str(caught.value) and len(str(caught.value)) < 400


TINY = ["energy=mlp", "energy.width=8", "sampler=sgld", "start.size=16", "trainer.batch_size=8", "objective.steps=2"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "data.path must be given"),
        ("data.path=mien.csv", "data.path=mien.csv does not exist; did you mean 'mine.csv'?"),
        ("data.path=nowhere/mine.csv", "data.path=nowhere/mine.csv does not exist"),
        ("data.path=.", "data.path=. is a folder"),
        ("data.path=mine.xlsx", "data.path=mine.xlsx must end in .csv, .parquet, .npy"),
        ("data.path=mine.csv", "data.path=mine.csv has columns that are not numbers: 'city' ('Bonn')"),
        ("data.path=mine.csv data.holdout_fraction=1", "data.holdout_fraction must be in (0, 1), got 1"),
    ],
)
def test_wrong_input_ends_in_exit_code_2_and_a_short_message(words, expected, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    numbers(20, 2).assign(city="Bonn").to_csv("mine.csv", index=False)
    Path("mine.xlsx").write_bytes(b"PK")
    assert main(["train", "data=table", *words.split(), *TINY, "trainer.steps=2"]) == 2
    err = capsys.readouterr().err
    assert expected in err and "Traceback" not in err
    # A wrong value and a file that cannot be used are both reported.
    assert len(err.strip().splitlines()) == (2 if expected.endswith("got 1") else 1) and len(err) < 500


def test_a_table_trains_and_comes_back_as_a_table_in_its_own_units(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    frame = numbers(300, 20).assign(c3=np.arange(300))
    frame.to_csv("mine.csv", index=False)
    assert main(["train", "data=table", "data.path=mine.csv", *TINY, "trainer.steps=4", "out=run"]) == 0
    assert main(["sample", "run=run", "start=data", "chains=12", "steps=4", "burn_in=0", "thin=2", "out=drawn"]) == 0
    with Path("drawn/samples.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == list(frame.columns) and len(rows) == 12
    drawn = np.array(rows, dtype=float)
    states = torch.from_numpy(np.load("drawn/samples.npy"))
    np.testing.assert_array_equal(drawn, table(Path("mine.csv")).decode(states))
    # A few short steps from data: means within four standard errors and the steps' own length of theirs.
    shift = np.abs(drawn.mean(0) - frame.mean().to_numpy()) / frame.std().to_numpy()
    assert shift.max() < 4 / 12**0.5 + 1
