"""Scores of the rows of a file equal an independent computation, in the order and units of the file."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import norm

from ebm_cli import load_run
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.estimate import refused
from ebm_cli.metric._score import conformal
from ebm_cli.metric._score_rows import rows_of
from tests.contract import build

TINY = ["energy=mlp", "energy.width=8", "sampler=sgld", "start.size=16", "trainer.batch_size=8", "objective.steps=2"]
NAMES = [f"c{i}" for i in range(3)]
SCALE, SHIFT = np.array([1e-6, 1.0, 1e9]), np.array([-4e-6, 5.0, 1e10])


def frame(rows: int, seed: int, wide: float = 1.0) -> pd.DataFrame:
    z = wide * np.random.default_rng(seed).standard_normal((rows, len(NAMES)))
    return pd.DataFrame(z * SCALE + SHIFT, columns=NAMES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on a table, whose file and own folder have moved since."""
    folder = tmp_path_factory.mktemp("score")
    frame(250, 0).to_csv(folder / "mine.csv", index=False)
    out = folder / "first"
    assert main(["train", "data=table", f"data.path={folder}/mine.csv", *TINY, "trainer.steps=20", f"out={out}"]) == 0
    (folder / "mine.csv").rename(folder / "hidden.csv")
    return out.rename(folder / "run")


def scored(run: Path, path: Path, out: Path, *words: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    assert main(["evaluate", f"run={run}", f"score={path}", f"out={out}", *words]) == 0
    return pd.read_csv(out / "scores.csv"), json.loads((out / "metrics.json").read_text())


def by_numpy(run: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E of rows and of the held-out rows, and log-densities without log Z, from the hidden training file."""
    full = pd.read_csv(run.parent / "hidden.csv").to_numpy()
    energy = load_run(run).energy
    # The split is what the run's own held-out rows say: those of the file that no training step saw.
    held = load_run(run).data.decode(load_run(run).data.split("held_out").x)
    near = np.abs((full[:, None] - held[None]) / SCALE).max(2).min(1) < 1e-5
    assert near.sum() == len(held) == 50
    location, scale = full[~near].mean(0), full[~near].std(0)

    def e(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return energy(torch.tensor((values - location) / scale, dtype=torch.float32)).double().numpy()

    return e(rows), e(full[near]), -np.log(scale).sum() * np.ones(len(rows))


def test_scores_agree_with_numpy_in_the_files_order_with_its_own_columns(run: Path, tmp_path: Path) -> None:
    new = frame(40, 1, wide=2.0)
    shuffled = new[["c2", "c0", "c1"]].assign(name=[f"row {i}" for i in range(40)], energy=7)
    shuffled.to_csv(tmp_path / "new.csv", index=False)
    found, metrics = scored(run, tmp_path / "new.csv", tmp_path / "out")
    assert list(found.columns[:5]) == ["c2", "c0", "c1", "name", "energy"] and (found["energy"] == 7).all()
    pd.testing.assert_frame_equal(found[["c2", "c0", "c1", "name"]], shuffled.drop(columns="energy"), rtol=1e-15)
    e, held_out, log_unit = by_numpy(run, new.to_numpy())
    np.testing.assert_allclose(found["ebm_energy"], e, rtol=1e-4, atol=1e-4)
    expected = np.array([(1 + (held_out >= each - 1e-4).sum()) / 51 for each in e])
    # Ties within rounding may fall on either side.
    assert (np.abs(found["p_value"] - expected) <= 1 / 51 + 1e-12).all()
    assert (np.abs(found["p_value"] - expected) < 1e-12).mean() > 0.9
    log_z = -e - found["log_density"] + log_unit
    assert log_z.std() < 1e-3
    # log Z itself by the trapezoid rule in the model's three coordinates.
    axis = torch.linspace(-25, 25, 101)
    energy = load_run(run).energy
    with torch.no_grad():
        u = torch.cat([energy(torch.cartesian_prod(axis[i : i + 1], axis, axis)) for i in range(len(axis))])
    exact = float((-u.double()).logsumexp(0)) + 3 * math.log(0.5)
    lower, upper = (-e - found[f"log_density_{end}"] + log_unit for end in ("upper", "lower"))
    assert lower.mean() - 1e-3 <= exact <= upper.mean() + 1e-3
    assert metrics["log_density"]["value"] == pytest.approx(found["log_density"].mean())
    assert metrics["rare_fraction"]["value"] == (found["p_value"] <= 0.05).mean()
    assert "of the rows are as rare as one held-out row in 20" in metrics["rare_fraction"]["meaning"]


def test_far_rows_score_low_and_reach_the_smallest_p_value(run: Path, tmp_path: Path, capsys) -> None:
    (frame(6, 1) + 80 * SCALE).to_csv(tmp_path / "far.csv", index=False)
    found, _ = scored(run, tmp_path / "far.csv", tmp_path / "out")
    assert (found["p_value"] == 1 / 51).all()
    assert "smallest possible value is 0.0196" in capsys.readouterr().err


def test_anomalies_are_marked_with_their_columns_and_labels_are_measured(run: Path, tmp_path: Path) -> None:
    new = frame(30, 4).assign(odd=0)
    new.loc[:4, "odd"], new.loc[:4, "c1"] = 1, 85.0
    new.to_csv(tmp_path / "new.csv", index=False)
    words = ["false_alarm=0.1", "anomaly_label=odd", "budget=10000"]
    found, metrics = scored(run, tmp_path / "new.csv", tmp_path / "out", *words)
    assert found["anomaly"].tolist() == (found["p_value"] <= 0.1).astype(int).tolist()
    assert found["unusual"][:5].str.startswith("c1 (").all()
    assert (found["unusual"].notna() <= found["anomaly"].astype(bool)).all()
    assert metrics["auroc"]["value"] == metrics["detection_rate"]["value"] == 1
    assert (found["energy"] > metrics["anomaly_threshold"]["value"]).equals(found["anomaly"] == 1)
    assert metrics["false_alarm_rate"]["value"] == found["anomaly"][5:].mean()


def test_nll_of_another_file_is_in_the_units_of_the_run(run: Path, tmp_path: Path, capsys) -> None:
    near, far = frame(30, 2), frame(30, 2) + 30 * SCALE
    for name, each in (("near", near), ("far", far)):
        each.to_csv(tmp_path / f"{name}.csv", index=False)
        words = [f"data.path={tmp_path / name}.csv", "metric=[nll]", "metric.nll.baselines=[]"]
        assert main(["evaluate", f"run={run}", *words, f"out={tmp_path / name}"]) == 0
        # All rows of the file are used, none of which was held out.
        said = capsys.readouterr().err + (tmp_path / name / "report.html").read_text()
        assert f"nll: of 30 rows of {name}.csv" in said and f"30 rows of {name}.csv," in said
        assert "held-out mean" not in said and "30 held-out" not in said
    metrics = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("near", "far")}
    for name, each in (("near", near), ("far", far)):
        e, _, _ = by_numpy(run, each.to_numpy())
        middle = (metrics[name]["nll"]["lower"] + metrics[name]["nll"]["upper"]) / 2
        assert abs(e.mean() - middle - (metrics[name]["nll"]["value"] - middle)) < 20
    gap = by_numpy(run, far.to_numpy())[0].mean() - by_numpy(run, near.to_numpy())[0].mean()
    assert metrics["far"]["nll"]["value"] - metrics["near"]["nll"]["value"] == pytest.approx(gap, rel=1e-4)
    assert metrics["near"]["nll_train"]["verdict"] == "refused"


def test_rows_with_gaps_keep_their_place_without_a_score(run: Path, tmp_path: Path, capsys) -> None:
    holed = frame(8, 3)
    holed.iloc[4, 1] = np.nan
    holed.to_csv(tmp_path / "new.csv", index=False)
    assert main(["evaluate", f"run={run}", f"score={tmp_path}/new.csv"]) == 2
    assert f"score={tmp_path}/new.csv has missing or infinite values in 1 of 8 rows" in capsys.readouterr().err
    found, metrics = scored(run, tmp_path / "new.csv", tmp_path / "out", "data.missing=drop")
    assert len(found) == 8 and found["p_value"].isna().tolist() == [i == 4 for i in range(8)]
    assert metrics["rows_scored"]["value"] == 7


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere.csv", "score=nowhere.csv does not exist"),
        ("short.csv", "score=short.csv has no column 'c1'"),
        ("x.xlsx", "score=x.xlsx must end in"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(run, tmp_path, monkeypatch, capsys, name, expected) -> None:
    monkeypatch.chdir(tmp_path)
    frame(5, 1).drop(columns="c1").to_csv("short.csv", index=False)
    Path("x.xlsx").write_bytes(b"PK")
    assert main(["evaluate", f"run={run}", f"score={name}"]) == 2
    error = capsys.readouterr().err
    assert expected in error and "Traceback" not in error and len(error.strip().splitlines()) == 1


def test_pictures_of_a_model_without_a_folder_of_its_own_are_read_in_gray_levels(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    for i, each in enumerate(levels):
        Image.fromarray(each).save(tmp_path / f"p{i}.png")
    data, energy = build("data", "digits"), build("energy", "quadratic", event=(1, 8, 8))
    found = rows_of(energy, (1, 8, 8), data, str(tmp_path))
    assert found.rows.table["file"].tolist() == ["p0.png", "p1.png", "p2.png"]
    np.testing.assert_allclose(found.rows.x[:, 0].numpy(), levels / 127.5 - 1, rtol=1e-6, atol=1e-7)
    assert found.log_unit == pytest.approx(64 * math.log(127.5))
    with pytest.raises(InputError, match="folder of pictures, but the model's states have shape"):
        rows_of(build("energy", "quadratic", event=(2,)), (2,), build("data", "two_moons"), str(tmp_path))
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="TwoMoons, because its columns have no names: give an array"):
        rows_of(build("energy", "quadratic", event=(2,)), (2,), build("data", "two_moons"), str(tmp_path / "x.csv"))


def test_an_array_is_scored_without_a_run_and_p_values_are_refused(tmp_path: Path, capsys) -> None:
    x = np.random.default_rng(0).standard_normal((9, 2))
    np.save(tmp_path / "x.npy", x)
    words = ["energy=quadratic", "energy.a=4", "event=[2]", "temperature=2", f"score={tmp_path}/x.npy"]
    assert main(["evaluate", *words, f"out={tmp_path / 'out'}"]) == 0
    found = pd.read_csv(tmp_path / "out/scores.csv")
    np.testing.assert_allclose(found["energy"], 2 * (x**2).sum(1), rtol=1e-5)
    np.testing.assert_allclose(found["log_density"], -(x**2).sum(1) - math.log(2 * math.pi * 0.5), rtol=1e-5)
    assert "p_value" not in found and "p_value: refused" in capsys.readouterr().err


def test_conformal_p_values_of_exchangeable_rows_are_valid_and_ties_count_as_no_likelier() -> None:
    assert conformal(np.array([0.0, 1.0, 2.0, np.nan]), np.array([1.0, 1.0, 2.0])).tolist() == [1.0, 1.0, 0.5, 0.25]
    rng = np.random.default_rng(0)
    repeats, held, alpha = 4000, 19, 0.05
    hits = sum(conformal(rng.standard_normal(1), rng.standard_normal(held))[0] <= alpha for _ in range(repeats))
    # P(p ≤ 1/20) is exactly 1/20 without ties.
    assert abs(hits / repeats - alpha) < 4 * (alpha * (1 - alpha) / repeats) ** 0.5


@pytest.mark.slow
def test_a_large_table_keeps_units_and_order_when_run_and_file_have_moved(tmp_path: Path) -> None:
    rows, columns = 100_000, 20
    rng = np.random.default_rng(0)
    scale, shift = 10.0 ** np.linspace(-6, 9, columns), 10.0 ** rng.uniform(-6, 9, columns)
    names = [f"c{i}" for i in range(columns)]

    def drawn(n: int) -> pd.DataFrame:
        return pd.DataFrame(rng.standard_normal((n, columns)) * scale + shift, columns=names)

    full = drawn(rows)
    full.to_csv(tmp_path / "mine.csv", index=False)
    words = ["data=table", f"data.path={tmp_path}/mine.csv", *TINY, "trainer.steps=50", f"out={tmp_path}/first"]
    assert main(["train", *words]) == 0
    (tmp_path / "first").rename(tmp_path / "run")
    (tmp_path / "mine.csv").unlink()
    new = drawn(5000)
    new[names[::-1]].assign(id=np.arange(5000)).to_csv(tmp_path / "new.csv", index=False)
    found, _ = scored(tmp_path / "run", tmp_path / "new.csv", tmp_path / "out", "budget=300000")
    assert found["id"].tolist() == list(range(5000))
    np.testing.assert_array_equal(found[names].to_numpy(), new.to_numpy())
    loaded = load_run(tmp_path / "run")
    assert loaded.data is not None
    held = loaded.data.decode(loaded.data.split("held_out").x)
    # float32 states say which rows of the file they are to seven digits of a standard deviation.
    keys = {tuple(row) for row in np.round((held - shift) / scale, 4)[:, :3].tolist()}
    trained = [tuple(row) not in keys for row in np.round((full.to_numpy() - shift) / scale, 4)[:, :3].tolist()]
    assert abs(sum(trained) - 80_000) < 100
    train = full.to_numpy()[trained]
    with torch.no_grad():
        e, held_out = (
            loaded.energy(torch.tensor((values - train.mean(0)) / train.std(0), dtype=torch.float32)).double().numpy()
            for values in (new.to_numpy(), held)
        )
    np.testing.assert_allclose(found["energy"], e, atol=1e-2)
    p = np.array([(1 + (held_out >= each).sum()) / (1 + len(held_out)) for each in e])
    np.testing.assert_allclose(found["p_value"], p, atol=2e-3)
    if "log_density" in found:
        assert (found["log_density"] + e + np.log(train.std(0)).sum()).std() < 1e-2


def test_a_loaded_run_gives_log_prob_in_its_own_units_and_the_files(tmp_path: Path) -> None:
    frame(250, 0).to_csv(tmp_path / "mine.csv", index=False)
    words = [*TINY, "energy=quadratic", "sampler.temperature=2", "trainer.steps=3", f"out={tmp_path}/run"]
    words = [word for word in words if not word.startswith(("energy=mlp", "energy.width"))]
    assert main(["train", "data=table", f"data.path={tmp_path}/mine.csv", *words]) == 0
    loaded = load_run(tmp_path / "run")
    values = loaded.data.values
    location, scale = np.array(values["location"]), np.array(values["scale"])
    rows = frame(9, 1).to_numpy()
    x = loaded.encode(rows)
    np.testing.assert_allclose(x.numpy(), (rows - location) / scale, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(loaded.decode(x), rows, atol=1e-5 * scale.max())
    std = np.sqrt(2 / loaded.energy.state_dict()["a"].numpy())
    found = loaded.log_prob(x).detach().numpy()
    np.testing.assert_allclose(found, norm.logpdf(x.numpy(), scale=std).sum(1), rtol=1e-4)
    exact = norm.logpdf(rows, loc=location, scale=std * scale).sum(1)
    np.testing.assert_allclose(found - loaded.data.log_unit, exact, rtol=1e-4)
    assert loaded.log_z is loaded.log_z
    with pytest.raises(InputError, match="rows must have shape"):
        loaded.encode(rows[:, :2])


def test_log_prob_is_refused_where_log_z_is_and_encode_where_there_are_no_units(tmp_path: Path) -> None:
    words = ["energy.width=8", "start.size=16", "trainer.batch_size=8", "objective.steps=1", "trainer.steps=2"]
    assert main(["train", "experiment=gaussians_8", *words, f"out={tmp_path}/run"]) == 0
    loaded = load_run(tmp_path / "run")
    with pytest.raises(InputError, match="keeps no units"):
        loaded.encode(np.zeros((3, 2)))
    assert loaded.decode(torch.zeros(3, 2)).shape == (3, 2)
    loaded.__dict__["log_z"] = refused("no finite integral", "nats")
    with pytest.raises(InputError, match="log Z, which is refused: no finite integral"):
        loaded.log_prob(torch.zeros(3, 2))


def test_log_prob_of_a_network_integrates_to_one(tmp_path: Path) -> None:
    words = ["energy.width=8", "start.size=16", "trainer.batch_size=8", "objective.steps=1", "trainer.steps=2"]
    assert main(["train", "experiment=gaussians_8", *words, f"out={tmp_path}/run"]) == 0
    loaded = load_run(tmp_path / "run")
    along = torch.linspace(-25, 25, 401)
    x = torch.cartesian_prod(along, along)
    with torch.no_grad():
        mass = float(loaded.log_prob(x).double().exp().sum()) * 0.125**2
    assert mass == pytest.approx(1, abs=0.01)


def test_rows_of_a_discrete_model_must_be_its_states(tmp_path: Path) -> None:
    energy, path = build("energy", "ising", event=(3, 3)), tmp_path / "x.npy"
    energy = energy.requires_grad_(False)
    spins = np.where(np.random.default_rng(0).random((5, 3, 3)) < 0.5, -1.0, 1.0)
    np.save(path, spins)
    assert torch.equal(rows_of(energy, (3, 3), None, str(path)).rows.x, torch.from_numpy(spins).float())
    np.save(path, (spins + 1) / 2)
    with pytest.raises(InputError, match="must contain minus ones and ones only, the states of the model"):
        rows_of(energy, (3, 3), None, str(path))
    with pytest.raises(InputError, match="with gray levels, but the model's states are minus ones and ones: give an"):
        rows_of(energy, (3, 3), None, str(tmp_path))
