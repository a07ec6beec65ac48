"""Test report.html: one self-contained page with every verdict and figure of a run and its relatives."""

import errno
import json
import re
from pathlib import Path

import pytest

from ebm_cli import figure
from ebm_cli.estimate import Estimate, refused
from ebm_cli.report.page import write_report
from ebm_cli.report.sweep_members import read_sweep
from ebm_cli.report.sweep_page import write_sweep_report
from ebm_cli.run.folder import Run
from ebm_cli.run.writing import write_text
from tests.report.read_page import texts

T = "sampler.temperature"
ESTIMATES = {
    "nll": Estimate(1.2345, se=0.01, unit="nats"),
    "ess_bulk_min": Estimate(12.0, verdict="caution", reasons=("few <draws> & chains",)),
    "iat_max": refused("chains are too short: raise steps"),
}


def made(folder: Path, verb: str, source: Run | None = None, captions: tuple[str, ...] = (), **config: object) -> Run:
    """A run's folder as its verb leaves it before the report."""
    folder.mkdir()
    run = Run(folder)
    about = {"verb": verb, "ebm": "0", "torch": "2", "created": "now", "command": f"ebm {verb}", "format": 1}
    run.write_config({"seed": 0, "run": str(source.folder) if source else None, "made": about} | config)
    run.write_metrics(ESTIMATES)
    if captions:
        figure.save(run, {f"figure{i}": (figure.new()[0], caption) for i, caption in enumerate(captions)})
    return run


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = write_report(made(tmp_path / "run", "train", captions=("a",))).read_text()
    sources = re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"' >]+)", page)
    assert sources and all(source.startswith("data:") for source in sources)
    assert "<script" not in page and "@import" not in page and "url(" not in page


def test_the_page_shows_every_verdict_with_its_reason(tmp_path: Path) -> None:
    page = write_report(made(tmp_path / "run", "evaluate")).read_text()
    for name, estimate in ESTIMATES.items():
        assert name in texts(page, "td")
        assert estimate.verdict in texts(page, "td", estimate.verdict)
    assert "1.234 ± 0.010 nats" in page and "raise steps" in page


def test_texts_of_a_run_cannot_break_the_page(tmp_path: Path) -> None:
    page = write_report(made(tmp_path / "run", "evaluate", captions=("a < b",))).read_text()
    assert "few &lt;draws&gt; &amp; chains" in page and "a &lt; b" in page


EVIL = "\"><script src=//evil.example/x.js></script><img src=http://evil.example onerror=alert(1)>'{{ 7919*7907 }}"


def test_nothing_that_a_folder_holds_becomes_markup(tmp_path: Path) -> None:
    run = made(tmp_path / "evil <b>", "train", captions=(EVIL,))
    config = run.config()
    for key in ("command", "ebm", "torch", "created"):
        config["made"][key] = EVIL
    run.write_config(config | {"energy": {"_target_": EVIL, EVIL: EVIL}, "device": EVIL})
    rows = {EVIL: {"value": 1.0, "se": 0.1, "unit": EVIL, "verdict": "caution", "reason": EVIL}}
    (run.folder / "metrics.json").write_text(json.dumps(rows))
    child = made(tmp_path / "child", "sample", source=run)
    write_report(child)
    for number, name in enumerate(("metrics.json", "failure.txt")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).write_text(json.dumps(rows) if number == 0 else EVIL)
    write_sweep_report(tmp_path, read_sweep("sample", [EVIL], tmp_path, [{EVIL: EVIL}] * 2), EVIL)
    for path in (run.folder / "report.html", child.folder / "report.html", tmp_path / "report.html"):
        page = path.read_text()
        assert "evil.example" in page and "62615533" not in page
        assert "<script" not in page and "<img src=http" not in page and "<b>" not in page
        sources = re.findall(r"<[^>]*(?:src|href)\s*=\s*[\"']?([^\"' >]+)", page)
        assert all(source.startswith("data:") or source == "0/report.html" for source in sources)
        assert "default-src 'none'" in page


def test_the_page_shows_every_figure_with_its_caption(tmp_path: Path) -> None:
    page = write_report(made(tmp_path / "run", "train", captions=("first one", "second one"))).read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert "first one" in page and "second one" in page


def test_a_child_appears_on_its_parents_page_and_the_parent_on_its_own(tmp_path: Path) -> None:
    parent = made(tmp_path / "parent", "train", captions=("of the parent",))
    write_report(parent)
    child = made(tmp_path / "child", "sample", source=parent, captions=("of the child",))
    write_report(child)
    for run in (parent, child):
        page = (run.folder / "report.html").read_text()
        assert "of the parent" in page and "of the child" in page


def test_a_grandchild_appears_on_the_first_runs_page(tmp_path: Path) -> None:
    first = made(tmp_path / "first", "train")
    second = made(tmp_path / "second", "sample", source=first)
    write_report(second)
    write_report(made(tmp_path / "third", "diagnose", source=second, captions=("of the third",)))
    assert "of the third" in (first.folder / "report.html").read_text()


def test_every_child_is_shown_with_what_it_was_measured_on(tmp_path: Path) -> None:
    own = {"_target_": "ebm_cli.data.table.Table", "path": "/there/own.csv"}
    parent = made(tmp_path / "parent", "train", data=own)
    children = {
        "first": {"data": own, "checkpoint": "best"},
        "second": {"data": own | {"path": "/there/other.csv"}, "checkpoint": "last"},
        "third": {"data": own, "score": "/there/new.csv", "checkpoint": 300},
        "fourth": {"data": own | {"seed": 3}},
    }
    for name, config in children.items():
        write_report(made(tmp_path / name, "evaluate", parent, (f"of the {name} one",), **config))
    page = (parent.folder / "report.html").read_text()
    assert all(f"of the {name} one" in page for name in children)
    assert texts(page, "td").count("nll") == 5
    for number, other in enumerate(
        ("", ", data=table, data.path=/there/other.csv", ", score=/there/new.csv", ", data.seed=3"), 1
    ):
        assert texts(page, "td").count(f"evaluate {number}{other}") == 3
    for words in (
        "checkpoint=best",
        "checkpoint=last",
        "checkpoint=300",
        "measured on data=table, data.path=/there/own.csv",
    ):
        assert words in page
    assert page.count("other data than those of this page") == 3


def test_the_sentence_of_a_page_excludes_numbers_measured_on_other_data(tmp_path: Path) -> None:
    parent = made(tmp_path / "parent", "train", data={"_target_": "a.B", "path": "x"})
    near = {"c2st": Estimate(0.56, meaning="told in 56 % of cases")}
    far = {"c2st": Estimate(0.99, meaning="told in 99 % of cases")}
    for name, rows, path in (("near", near, "x"), ("far", far, "y")):
        child = made(tmp_path / name, "evaluate", parent, data={"_target_": "a.B", "path": path})
        child.write_metrics(rows)
        write_report(child)
    page = (parent.folder / "report.html").read_text()
    strong = texts(page, "strong")[0]
    assert "56 %" in strong and "99 %" not in strong and "99 %" in page
    assert "99 %" in texts((tmp_path / "far" / "report.html").read_text(), "strong")[0]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_parent_that_cannot_be_written_does_not_break_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    parent = made(tmp_path / "parent", "train", captions=("of the parent",))
    child = made(tmp_path / "child", "sample", source=parent)

    def denied(path: Path, text: str) -> None:
        if path.parent == parent.folder:
            raise OSError(code, "denied", str(path))
        write_text(path, text)

    for module in ("page", "relatives"):
        monkeypatch.setattr(f"ebm_cli.report.{module}.write_text", denied)
    assert "of the parent" in write_report(child).read_text()
    assert sorted(path.name for path in parent.folder.iterdir()) == ["config.yaml", "figures", "metrics.json"]


def test_a_parent_that_is_gone_does_not_break_the_child(tmp_path: Path) -> None:
    child = made(tmp_path / "child", "sample", source=Run(tmp_path / "gone"))
    assert "Verdicts" in texts(write_report(child).read_text(), "h2")


def test_a_child_that_is_gone_does_not_break_the_parent(tmp_path: Path) -> None:
    parent = made(tmp_path / "parent", "train")
    (parent.folder / "descendants.json").write_text(f'["{tmp_path / "gone"}"]')
    assert "Verdicts" in texts(write_report(parent).read_text(), "h2")


def test_a_sweeps_page_shows_each_member_its_verdicts_and_the_way_to_its_page(tmp_path: Path) -> None:
    write_report(made(tmp_path / "0", "sample"))
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "failure.txt").write_text("all chains & more broke")
    figure.new()[0].savefig(tmp_path / "sweep.png")
    sweep = read_sweep("sample", [T], tmp_path, [{T: "0.5", "seed": "0"}, {T: "<2>", "seed": "1"}])
    page = write_sweep_report(tmp_path, sweep, "under it").read_text()
    (best,) = texts(page, "tr", "best")
    assert best.startswith("0")
    assert 'href="0/report.html"' in page and 'href="1/report.html"' not in page
    assert any(text.startswith("12") for text in texts(page, "td", "caution"))
    assert "refused" in texts(page, "td", "refused")
    page = page.replace("\n", "")
    assert "few &lt;draws&gt; &amp; chains" in page and "&lt;2&gt;" in page and "all chains &amp; more broke" in page
    assert page.count("data:image/png;base64,") == 1 and "under it" in page


def test_the_page_of_a_sweep_whose_jobs_are_ok_shows_no_caution(tmp_path: Path) -> None:
    made(tmp_path / "0", "sample").write_metrics({"energy": Estimate(1.0, se=0.1)})
    sweep = read_sweep("sample", [], tmp_path, [{}])
    assert "None: every number" in write_sweep_report(tmp_path, sweep, "").read_text()


def test_a_training_of_one_row_is_drawn_whatever_its_size() -> None:
    row = {"step": 1, "loss": 1e20, "e_data": 3e20, "e_model": 3e20, "gap": 0.0}
    picture, _ = figure.training([row])
    low, high = picture.axes[0].get_ylim()
    assert low < 3e20 < high
