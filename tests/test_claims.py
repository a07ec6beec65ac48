"""Claims: a row that fails is told and ends in failure, the page holds every row, and a fast claim runs whole."""

import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ebm_cli import figure
from scripts import claims, founding
from scripts.founding import Claim, Row, Word
from tests.report.read_page import texts


@pytest.fixture(autouse=True)
def path_as_before() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def claim(*rows: Row | Word) -> Claim:
    return Claim("a section", "a sentence <b>", list(rows), figure.new()[0], "a caption")


GOOD, BAD = Row("good", 1.0, 1.1, 0.1), Row("bad", 1.0, 2.0, 0.1)


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (Row("", 1.0, 1.39, 0.1), True),
        (Row("", 1.0, 1.41, 0.1), False),
        (Row("", 1.0, 1.41, 0.1, ">"), True),
        (Row("", 1.0, 1.39, 0.1, ">"), False),
        (Row("", 1.0, 0.59, 0.1, "<"), True),
        (Row("", 1.0, 1.41, 0.1, "<"), False),
        (Row("", 1.0, 1.04, 0.001, "within 5 %"), True),
        (Row("", 1.0, 1.06, 0.1, "within 5 %"), False),
        (Row("", 1.0, 1.0, 0.0), False),
        (Row("", 1.0, math.nan, 0.1), False),
        (Row("", 1.0, 1.0, math.inf), False),
        (Word("", "ok", "ok"), True),
        (Word("", "ok", "refused"), False),
    ],
)
def test_a_row_holds_within_four_errors_and_an_inequality_beyond_them(row: Row | Word, holds: bool) -> None:
    assert row.holds is holds


def test_a_claim_without_rows_does_not_hold() -> None:
    assert not claim().holds


def test_a_claim_whose_rows_show_it_mistaken_is_not_said_to_hold(tmp_path: Path) -> None:
    mistaken = replace(claim(GOOD), refuted=True)
    assert claims.run({"mistaken": lambda _: mistaken}, tmp_path / "out") == 0
    assert texts((tmp_path / "out" / "claims.html").read_text(), "td", "fails") == ["not so"]
    assert replace(claim(BAD), refuted=True).verdict == "fails"


def test_a_failing_row_ends_in_failure_and_all_rows_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made = {"right": claim(GOOD, Word("said", "ok", "ok")), "wrong": claim(GOOD, BAD)}
    code = claims.run({name: lambda _, c=c: c for name, c in made.items()}, tmp_path / "out")
    assert code == 1
    with (tmp_path / "out" / "claims.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["claim"], row["verdict"]) for row in table] == [
        *[("right", "holds")] * 2,
        ("wrong", "holds"),
        ("wrong", "fails"),
    ]
    page = (tmp_path / "out" / "claims.html").read_text()
    for row in (GOOD, BAD):
        assert all(shown in page for shown in (row.quantity, *row.shown))
    assert page.count("data:image/png;base64,") == 2 and "a sentence &lt;b&gt;" in page
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"right.png", "wrong.png"}
    assert capsys.readouterr().out.strip().endswith("claims.html")


def test_what_all_hold_ends_well(tmp_path: Path) -> None:
    assert claims.run({"right": lambda _: claim(GOOD)}, tmp_path / "out") == 0


def test_a_claim_that_breaks_fails_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def broken(place: Path) -> Claim:
        raise ValueError("no\nluck")

    assert claims.run({"broken": broken, "right": lambda _: claim(GOOD)}, tmp_path / "out") == 1
    assert "broken could not be measured: ValueError: no luck" in capsys.readouterr().err
    page = (tmp_path / "out" / "claims.html").read_text()
    assert "no luck" in page and (tmp_path / "out" / "right.png").exists()


def test_an_interruption_keeps_what_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def interrupted(place: Path) -> Claim:
        raise KeyboardInterrupt

    made = {"right": lambda _: claim(GOOD), "next": interrupted, "never": lambda _: claim(BAD)}
    assert claims.run(made, tmp_path / "out") == 130
    assert "interrupted: 1 of 3 claims finished" in capsys.readouterr().err
    assert "right" in (tmp_path / "out" / "claims.csv").read_text()


def test_a_wrong_name_is_one_line_with_the_names(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert claims.main(["push_pul"], tmp_path / "out") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "push_pul is no claim; did you mean 'push_pull'?" in said[0] and "momentum" in said[0]
    assert not (tmp_path / "out").exists()


def test_every_claim_has_a_place_of_its_own_in_the_text() -> None:
    orders = [sys.modules[f"{founding.__name__}.{name}"].ORDER for name in founding.names()]
    assert len(orders) == len(set(orders)) >= 19 and orders == sorted(orders)


def test_a_fast_claim_runs_whole(tmp_path: Path) -> None:
    found = founding.measurer("effective_temperature")(tmp_path)
    assert found.holds and found.picture.axes
