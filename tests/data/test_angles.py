"""Rows of angles: the density of the shipped set, and tables in radians and degrees."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data._rows import noisy_split
from ebm_cli.data.angles import MEANS, Angles
from ebm_cli.density import fit_baselines, names_that_fit
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(here: Path, rows: np.ndarray, **changes: object):
    path = here / "angles.csv"
    np.savetxt(path, rows, delimiter=",", header="phi,psi", comments="")
    return build("data", "table", {"path": str(path), "angles": "radians"} | changes)


def test_draws_have_the_density_that_the_set_states() -> None:
    data = Angles(None, 0)
    x = data.sample(100_000, seeded(0)).x
    assert bool(((x >= -math.pi) & (x < math.pi)).all())
    axis = 2 * math.pi * (torch.arange(300) + 0.5) / 300 - math.pi
    grid = torch.cartesian_prod(axis, axis)
    p = data.log_prob(grid).exp() * (2 * math.pi / 300) ** 2
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-9)
    # Means of functions with the period, against sums over the grid; one component lies across the cut.
    for mean in MEANS:
        look = lambda x, mean=mean: (3 * (x - x.new_tensor(mean)).cos()).sum(1).exp() / 400  # noqa: E731
        values = look(x)
        assert abs(float(values.mean() - (p * look(grid)).sum())) < 4 * float(values.std()) / len(x) ** 0.5


@pytest.mark.parametrize(("angles", "turn"), [("radians", 2 * math.pi), ("degrees", 360.0)])
def test_a_table_of_angles_is_turned_into_the_range_and_back(angles: str, turn: float, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inside = turn * (random.random((50, 2)) - 0.5)
    data = table(tmp_path, inside + turn * random.integers(-1, 2, (50, 2)), angles=angles, holdout_fraction=0.2)
    rows = np.concatenate([data.split(part).x.numpy() for part in ("train", "held_out")])
    assert data.space == "periodic" and (rows >= -math.pi).all() and (rows < math.pi).all()
    decoded = np.concatenate([data.decode(data.split(part).x) for part in ("train", "held_out")])
    np.testing.assert_allclose(np.sort(decoded, 0), np.sort(inside, 0), atol=1e-9 * turn)
    assert data.log_unit == pytest.approx(2 * math.log(turn / (2 * math.pi)))
    (note,) = [note for note in data.notes if "angles" in note]
    assert "which are turned back into it" in note


def test_noise_of_a_table_stays_on_the_circle(tmp_path: Path) -> None:
    data = table(tmp_path, np.full((20, 2), 3.1) + 0.001 * np.arange(40).reshape(20, 2), noise=0.5)
    for x in (data.sample(500, seeded(0)).x, noisy_split(data, "train", 0).x):
        assert bool(((x >= -math.pi) & (x < math.pi)).all()) and bool((x < 0).any()) and bool((x > 0).any())


def test_words_are_no_angles(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("a,b\n" + "x,1\n" * 20)
    with pytest.raises(InputError, match="'a'"):
        build("data", "table", {"path": str(path), "angles": "degrees"})
    with pytest.raises(InputError, match=r"^angles must"):
        table(tmp_path, np.zeros((20, 2)), angles="turns")


def test_baselines_of_angles_are_normalized_and_the_kernels_come_near_the_data() -> None:
    data = Angles(2000, 0)
    assert names_that_fit("auto", "periodic") == ["von_mises", "kernel"]
    with pytest.raises(InputError, match="von_mises or kernel for periodic rows, got gaussian"):
        names_that_fit(["gaussian"], "periodic")
    axis = 2 * math.pi * torch.arange(120) / 120
    grid, held_out = torch.cartesian_prod(axis, axis), data.split("held_out").x
    scores = {}
    for baseline in fit_baselines(data, "auto", 0, lambda _: None):
        total = baseline.log_prob(grid).exp().sum() * (2 * math.pi / 120) ** 2
        assert float(total) == pytest.approx(1.0, abs=1e-3)
        scores[baseline.name] = float(baseline.log_prob(held_out).mean())
    best = float(data.log_prob(held_out).mean())
    assert best - 0.15 < scores["kernel"] < best + 0.02 and scores["von_mises"] < best - 0.5
