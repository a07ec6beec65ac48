"""Test figures: windows that fit the data, columns of tables next to their data, vector copies, no empty axes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.chain.chains import Chains
from ebm_cli.cli import main
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.self_transition import SelfTransition
from ebm_cli.figure.columns import marginals, pairs
from ebm_cli.metric._distance_to_truth_figure import visible_window


@pytest.mark.parametrize("far", [0.5, 14.0, 1e6])
def test_data_fill_half_of_a_window_however_far_chains_are(far: float) -> None:
    data = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    low, high = figure.window(data, np.array([[far, far], [-far, -far]]))
    assert (2 / (high - low) >= 0.49).all() and (low < -1).all() and (high > 1).all()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_window_of_two_densities_fits_the_data(dimensions: int) -> None:
    size, box = 200, [(-14.0, 14.0)] * dimensions
    x = torch.linspace(-14, 14, 2 * size + 1)[1::2]
    one = [torch.exp(-(x**2) / (2 * width**2)) for width in (0.5, 5.0)]
    p, q = (each if dimensions == 1 else (each[:, None] * each).flatten() for each in one)
    sides = visible_window((p, q), box, size)
    # The data reach from −1.65 to 1.65.
    assert len(sides) == dimensions and all(-3.6 < low < -1.7 and 1.7 < high < 3.6 for low, high in sides)


def drawn_names(picture: Figure) -> set[str]:
    return {axes.get_xlabel() for axes in picture.axes} | {axes.get_ylabel() for axes in picture.axes}


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 30])
def test_columns_and_pairs_are_drawn_next_to_data_and_no_axes_are_empty(columns: int) -> None:
    r = np.random.default_rng(0)
    samples, data = r.normal(size=(50, columns)), r.normal(size=(70, columns))
    names = [f"c{i}" for i in range(columns)]
    for draw, most in ((marginals, 12), (pairs, 5)):
        picture, caption = draw(names, samples, data)
        assert set(names[:most]) <= drawn_names(picture)
        assert all(axes.patches or axes.collections for axes in picture.axes)
        assert ("first" in caption) == (columns > most)
        assert draw(names, samples, None)[0].axes


def test_a_kernel_that_never_stays_has_no_empty_picture() -> None:
    x = np.random.default_rng(0).normal(size=(4, 300, 2))
    moving = SelfTransition()(ChainContext(Chains(x=x)))
    assert moving.estimates["self_transition"].value == 0 and moving.draw() is None
    x[:, 1::3] = x[:, ::3]
    staying, _ = SelfTransition()(ChainContext(Chains(x=x))).draw()
    assert staying.axes


def test_a_tables_samples_are_drawn_by_their_names_with_vector_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal([3.0, -200.0, 9.0], [1.0, 50.0, 0.1], (200, 3))
    np.savetxt("rows.csv", rows, delimiter=",", header="a,weight,c", comments="")
    tiny = ["trainer.steps=2", "trainer.batch_size=8", "start.size=16", "objective.steps=1", "energy.width=8"]
    assert main(["train", "data=table", "data.path=rows.csv", "experiment=null", *tiny, "out=t"]) == 0
    short = ["run=t", "chains=4", "steps=4", "thin=1", "burn_in=0"]
    assert main(["sample", *short, "figures=svg", "out=s"]) == 0
    names = {path.name for path in Path("s/figures").iterdir()}
    assert {"samples.png", "samples.svg", "marginals.png", "marginals.svg"} <= names
    assert ">weight<" in Path("s/figures/samples.svg").read_text() and Path("s/samples.png").exists()
    assert set(json.loads(Path("s/figures/captions.json").read_text())) == {
        "samples",
        "marginals",
        "energy",
        "replicas",
    }
    capsys.readouterr()
    assert main(["sample", *short, "figures=sgv"]) == 2
    assert "did you mean 'svg'?" in capsys.readouterr().err
