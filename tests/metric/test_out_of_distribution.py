"""Out-of-distribution detection: the numbers of two Gaussians, the sets of other rows, and rows without advantage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data._sites import Sites
from ebm_cli.estimate import Estimate
from ebm_cli.metric._other_rows import SETS, Source
from ebm_cli.metric._separation import bootstrap, separation, weighted_separations
from tests.contract import build
from tests.metric.subject import normal, subject


class Flat(nn.Module):
    """E(x) = scale·‖x‖²/2, for any scale, with 0 an energy that knows nothing."""

    def __init__(self, scale: float, dim: int) -> None:
        super().__init__()
        self.scale, self.event = scale, (dim,)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.square().sum(1) / 2


def test_auroc_and_fpr95_of_two_gaussians_are_those_of_theory_within_their_bootstrap_error() -> None:
    random, d, n, repeats = np.random.default_rng(0), 1.5, 300, 150
    exact = [norm.cdf(d / 2**0.5), norm.cdf(norm.ppf(0.95) - d)]
    pairs = [(random.standard_normal(n) + d, random.standard_normal(n)) for _ in range(repeats)]
    found = np.array([separation(*pair) for pair in pairs])[:, [0, 2]]
    spread = found.std(0, ddof=1)
    # fpr95 is biased by about 1/n, since the threshold is an order statistic.
    assert (np.abs(found.mean(0) - exact) < 4 * spread / repeats**0.5 + [0, 1 / n]).all()
    errors = np.array([bootstrap(*pair, seed=0, repeats=60).std(0, ddof=1) for pair in pairs[:40]])[:, 0]
    assert abs(errors.mean() / spread[0] - 1) < 4 / (2 * repeats) ** 0.5 + 4 * errors.std() / errors.mean() / 40**0.5


def test_resampled_numbers_are_those_of_scikit_learn_with_ties_and_repeated_rows() -> None:
    random = np.random.default_rng(1)
    a, b = random.integers(0, 9, 80).astype(float) + 2, random.integers(0, 9, 50).astype(float)
    counts = [random.multinomial(len(x), np.full(len(x), 1 / len(x)), 5) for x in (a, b)]
    found = weighted_separations(a, b, counts[0], counts[1])
    expected = [separation(np.repeat(a, i), np.repeat(b, j)) for i, j in zip(*counts, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def source(space: str, event: tuple[int, ...]) -> Source:
    rng = torch.Generator().manual_seed(0)
    sites = None if space == "continuous" else Sites(space, event)
    draw = (lambda n: torch.randn(n, *event, generator=rng)) if sites is None else None
    x = [draw(60) if draw else sites.uniform(60, rng, torch.float32) for _ in range(2)]  # pyright: ignore
    return Source(x[0], x[1], event, space, 0.1 if sites is None else 0.0, rng)


@pytest.mark.parametrize(
    ("space", "event", "names"),
    [
        ("continuous", (3,), ["uniform_noise", "gaussian_noise", "constant", "shuffled_columns"]),
        ("continuous", (1,), ["uniform_noise", "gaussian_noise"]),
        ("continuous", (3, 8, 9), list(SETS)),
        ("continuous", (1, 28, 28), [name for name in SETS if name != "mnist"]),
        ("binary", (1, 8, 8), [name for name in SETS if name not in ("gaussian_noise", "constant")]),
        ("categorical", (5, 3), ["uniform_noise", "shuffled_columns"]),
    ],
)
def test_every_set_that_fits_has_rows_like_the_held_out_ones(
    space: str, event: tuple[int, ...], names: list[str]
) -> None:
    given = source(space, event)
    assert [name for name, each in SETS.items() if each.fits(given)] == names
    for name in names:
        x = SETS[name].make(given)
        assert x.shape == given.held_out.shape and x.dtype == given.held_out.dtype and bool(x.isfinite().all())
        assert space == "continuous" or Sites(space, event).contain(x), name


def test_shuffling_keeps_the_values_of_each_column_or_of_each_picture() -> None:
    given = source("continuous", (1, 4, 5))
    columns, pixels = (SETS[name].make(given) for name in ("shuffled_columns", "shuffled_pixels"))
    torch.testing.assert_close(columns.sort(0).values, given.held_out.sort(0).values)
    torch.testing.assert_close(pixels.flatten(1).sort(1).values, given.held_out.flatten(1).sort(1).values)
    assert not torch.equal(columns, given.held_out) and not torch.equal(pixels, given.held_out)


def test_pictures_are_moved_by_a_quarter() -> None:
    moved, held_out = SETS["shifted"].make(given := source("continuous", (1, 8, 8))), given.held_out
    ways = [held_out.roll((2 * i, 2 * j), (2, 3)) for i in (-1, 1) for j in (-1, 1)]
    inner = [(each - moved)[:, 0, 2:-2, 2:-2].abs().amax((1, 2)) for each in ways]
    assert float(torch.stack(inner).amin(0).max()) == 0


def found(energy: nn.Module, options: dict[str, Any]) -> dict[str, Estimate]:
    data = build("data", "gaussian", {"n": 1000, "dim": 2, "std": 1.0})
    metric = build("metric", "out_of_distribution", {"bootstrap": 100} | options)
    return metric(subject(data, None, energy=energy)).estimates


def test_rows_of_the_data_are_no_advantage_and_say_so(tmp_path: Path) -> None:
    np.save(tmp_path / "same.npy", normal(150, 2, seed=5).numpy())
    row = found(Flat(1.0, 2), {"rows": str(tmp_path / "same.npy")})["auroc_rows"]
    assert row.verdict == "caution" and "chance" in row.reason
    assert row.lower < 0.5 < row.upper and abs(row.value - 0.5) < 4 * row.se


def test_known_auroc_of_far_rows_is_found_and_an_energy_upside_down_says_so(tmp_path: Path) -> None:
    # ‖x‖² of N(0, s²I) in two dimensions is exponential: P(other > held-out) = s²/(1 + s²).
    np.save(tmp_path / "wide.npy", 2 * normal(2000, 2, seed=6).numpy())
    for scale, exact in ((1.0, 0.8), (-1.0, 0.2), (0.0, 0.5)):
        rows = found(Flat(scale, 2), {"rows": str(tmp_path / "wide.npy")})
        assert rows["auroc"].value == rows["auroc_rows"].value
        assert abs(rows["auroc"].value - exact) <= 4 * rows["auroc"].se
        better = "the baseline gaussian has AUROC 0." in rows["auroc_rows"].reason
        assert (rows["auroc"].verdict == "caution") is better is (scale <= 0)
        assert ("it is lower on rows" in rows["auroc_rows"].reason) is (scale < 0)


def test_a_classifier_has_its_softmax_and_all_numbers_are_in_the_table() -> None:
    data = build("data", "gaussians_8", {"n": 500})
    energy = build("energy", "classifier", event=(2,), data=data)
    result = build("metric", "out_of_distribution", {"bootstrap": 20})(subject(data, None, energy=energy))
    scores = ["gradient_norm", "max_softmax", "typical_energy", "typical_gradient_norm", "gaussian"]
    assert {f"auroc_by_{name}" for name in scores} < set(result.estimates)
    (columns,) = result.tables.values()
    assert len(columns["set"]) == 4 * 6 and {"auroc", "aupr_se", "fpr95_upper", "reason"} < set(columns)
    assert {len(column) for column in columns.values()} == {24}


def test_discrete_states_have_the_scores_that_need_no_gradient() -> None:
    data = build("data", "digits_binary")
    energy = build("energy", "rbm", event=data.event, data=data)
    metric = build("metric", "out_of_distribution", {"bootstrap": 20, "sets": ["shifted"]})
    rows = metric(subject(data, None, energy=energy)).estimates
    names = {name.removeprefix("auroc_by_") for name in rows if name.startswith("auroc_by_")}
    assert names == {"typical_energy", "bernoulli"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sets": ["letters"]}, "sets must be uniform_noise or .* for these rows, got letters"),
        ({"sets": []}, "sets must name at least one set, or rows a file"),
        ({"rows": "no_such.npy"}, "rows=no_such.npy"),
    ],
)
def test_sets_that_cannot_be_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        found(Flat(1.0, 2), options)


@pytest.mark.figures
def test_the_command_writes_the_keys_the_table_and_the_figure(here: Path) -> None:
    line = (
        "evaluate energy=quadratic data=gaussian metric=[out_of_distribution] metric.out_of_distribution.bootstrap=20"
    )
    assert main([*line.split(), "out=o"]) == 0
    rows = json.loads((here / "o/metrics.json").read_text())
    assert {"auroc", "aupr", "fpr95", "auroc_constant"} < set(rows)
    assert (here / "o/out_of_distribution.csv").exists() and (here / "o/figures/out_of_distribution.png").exists()
