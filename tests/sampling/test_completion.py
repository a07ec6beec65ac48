"""`ebm sample condition=…`: draws of what is unknown, against the exact conditional of a Gaussian model."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ebm_cli.cli import main as ebm

OWN = """
import torch
from torch import nn

PRECISION = torch.tensor([[2.0, 0.9, -0.4], [0.9, 1.5, 0.3], [-0.4, 0.3, 1.2]])


class Gauss(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return 0.5 * ((x @ PRECISION.to(x)) * x).sum(1) + 0.0 * self.unused
"""
PRECISION = np.array([[2.0, 0.9, -0.4], [0.9, 1.5, 0.3], [-0.4, 0.3, 1.2]])


def rows_of(path: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with Path(path).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose model is a known Gaussian of scaled columns a, b, c."""
    here = tmp_path_factory.mktemp("gauss")
    (here / "gauss_of_test.py").write_text(OWN)
    x = np.random.default_rng(0).multivariate_normal(np.zeros(3), np.linalg.inv(PRECISION), 200)
    pd.DataFrame(x, columns=["a", "b", "c"]).to_csv(here / "rows.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        line = "energy=custom energy._target_=gauss_of_test.Gauss data=table data.path=rows.csv experiment=null"
        keys = "sampler=hmc start=noise objective=contrastive objective.steps=1 trainer.steps=1 threads=1 out=run"
        assert ebm(["train", *line.split(), *keys.split()]) == 0
    return here


def test_imputed_cells_have_the_exact_mean_and_variance(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    rows = pd.read_csv("rows.csv").head(4)
    rows.iloc[1, 0] = rows.iloc[3, 1] = rows.iloc[3, 2] = np.nan
    rows.to_csv("holes.csv", index=False)
    line = "run=run condition=holes.csv chains=64 steps=400 thin=10 burn_in=100 threads=1 out=filled"
    assert ebm(["sample", *line.split()]) == 0
    found = json.loads(Path("filled/metrics.json").read_text())
    assert found["observations"]["value"] == 2
    assert found["mixing"]["verdict"] == "ok"
    draws = np.load("filled/draws.npy")
    assert draws.shape[0] == 2
    # Row 1 knows b and c, in the scaled units of the draws.
    known = draws[0, 0, 1:]
    assert np.allclose(draws[0, :, 1:], known, atol=1e-6)
    mean = -PRECISION[0, 1:] @ known / PRECISION[0, 0]
    n, sd = draws.shape[1], PRECISION[0, 0] ** -0.5
    assert abs(draws[0, :, 0].mean() - mean) < 4 * sd / n**0.5
    assert abs(draws[0, :, 0].std() / sd - 1) < 4 / (2 * n) ** 0.5
    # Row 3 knows a: the covariance of b and c is the inverse of their block of the precision.
    exact = np.linalg.inv(PRECISION[1:, 1:])
    error = np.sqrt((exact**2 + np.outer(exact.diagonal(), exact.diagonal())) / n)
    assert (np.abs(np.cov(draws[1, :, 1:].T) - exact) < 4 * error).all()
    table = rows_of("filled/imputed.csv")
    assert {row["row"] for row in table} == {"1", "3"}
    assert all(float(row["b"]) == pytest.approx(rows.iloc[1, 1], rel=1e-5) for row in table if row["row"] == "1")
    assert len({row["a"] for row in table if row["row"] == "1"}) > 1


def test_the_score_is_the_exact_conditional_density(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    np.save("mask.npy", np.array([True, False, False]))
    line = "run=run condition=mask.npy image=[0,5] chains=32 steps=200 threads=1 out=scored"
    assert ebm(["sample", *line.split()]) == 0
    draws = np.load("scored/draws.npy")
    table = rows_of("scored/observations.csv")
    assert [row["observation"] for row in table] == ["held-out row 0", "held-out row 5"]
    block = PRECISION[1:, 1:]
    for row, states in zip(table, draws, strict=True):
        # ∫ exp(−E) over b and c is known in closed form.
        a = states[0, 0]
        pull = PRECISION[1:, 0] * a
        exact = -0.5 * PRECISION[0, 0] * a**2 + 0.5 * pull @ np.linalg.solve(block, pull)
        exact += np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(block)[1]
        assert float(row["log_z"]) == pytest.approx(exact, abs=0.1)
    found = json.loads(Path("scored/metrics.json").read_text())
    assert abs(found["log_score"]["value"] - found["log_score_gaussian"]["value"]) < 0.3
    assert 0.3 < found["coverage_80"]["value"] <= 1


def test_wrong_words_are_one_line_each(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    pd.read_csv("rows.csv").head(4).to_csv("whole.csv", index=False)
    cases = {
        "condition=lft": "has no option 'lft'",
        "condition=left": "needs pictures",
        "condition=class:1": "needs an energy with classes",
        "condition=missing image=99": "image must be numbers of held-out rows from 0 to 39",
        "condition=missing image=none.npy": "is no file",
        "condition=whole.csv": "no row with an empty cell",
        "condition=none.csv": "none.csv",
        "condition=missing condition.fraction=2": "fraction must be in (0, 1)",
        "condition=mask": "condition.path must be given",
    }
    for number, (words, expected) in enumerate(cases.items()):
        assert ebm(["sample", "run=run", *words.split(), "threads=1", f"out=wrong{number}"]) == 2
        error = capsys.readouterr().err
        assert expected in error, (words, error)
        assert "Traceback" not in error


def test_rows_of_categories_are_filled_in_by_whole_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    levels = np.random.default_rng(0).integers(0, 3, (60, 3))
    rows = pd.DataFrame(np.array(["red", "green", "blue"])[levels], columns=["a", "b", "c"])
    rows.to_csv("rows.csv", index=False)
    line = "experiment=null data=table data.path=rows.csv energy=mlp energy.width=8 start=noise objective.steps=1"
    assert ebm(["train", *line.split(), "trainer.steps=1", "regularizer=[]", "threads=1", "out=run"]) == 0
    rows.head(2).assign(b=[None, rows.b[1]], c=[None, rows.c[1]]).to_csv("holes.csv", index=False)
    chains = "chains=8 steps=240 threads=1"
    assert ebm(["sample", "run=run", "condition=holes.csv", *chains.split(), "out=filled"]) == 0
    found = rows_of("filled/imputed.csv")
    assert {row["a"] for row in found} == {rows.a[0]}
    assert len({(row["b"], row["c"]) for row in found}) > 1
    assert ebm(["sample", "run=run", "condition=missing", "image=[0,1]", *chains.split(), "out=tested"]) == 0
    # Every site is a one-hot vector, also where it was drawn.
    assert (np.load("tested/draws.npy").sum(-1) == 1).all()


def test_infinite_cells_are_named(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    rows = pd.read_csv("rows.csv").head(3)
    rows.iloc[0, 1], rows.iloc[1, 0] = np.inf, np.nan
    rows.to_csv("infinite.csv", index=False)
    assert ebm(["sample", "run=run", "condition=infinite.csv", "threads=1", "out=infinite"]) == 2
    assert "condition.path=infinite.csv has infinite values in b" in capsys.readouterr().err
