"""Data: draws from the generator alone, fixed and disjoint parts, densities that are those of the draws."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import simpson
from scipy.stats import chisquare
from sklearn.datasets import make_moons

from ebm_cli.check import InputError
from ebm_cli.data import KnownDensity, noised
from ebm_cli.data.two_moons import TwoMoons
from tests.contract import build, cell_masses, default_dtype, log_integral, moment_z_scores, options

SETS = pytest.mark.parametrize("name", options("data"))
EXACT = [name for name in options("data") if isinstance(build("data", name), KnownDensity)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_synthetic_sets_know_their_density() -> None:
    assert {"gaussian", "gaussians_8", "two_moons"} <= set(EXACT)


@SETS
def test_sample_depends_on_the_generator_alone(name: str) -> None:
    data, other = build("data", name), build("data", name)
    before = torch.get_rng_state()
    first = data.sample(9, seeded(1))
    data.sample(50, seeded(2))
    for again in (data.sample(9, seeded(1)), other.sample(9, seeded(1))):
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.x, data.sample(9, seeded(3)).x)
    assert torch.equal(torch.get_rng_state(), before)


@SETS
def test_rows_have_the_event_and_the_type_of_the_run(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        with default_dtype(dtype):
            data = build("data", name)
            batch = data.sample(4, seeded(0))
        assert batch.x.shape == (4, *data.event) and batch.x.dtype == dtype
        assert batch.clean is None or batch.clean.dtype == dtype


@SETS
def test_parts_are_fixed_and_disjoint(name: str) -> None:
    train, held_out = (build("data", name).split(part) for part in ("train", "held_out"))
    again = build("data", name)
    assert torch.equal(again.split("held_out").x, held_out.x) and torch.equal(again.split("train").x, train.x)
    both = torch.cat([train.x, held_out.x]).flatten(1)
    assert len(both.unique(dim=0)) == len(both)


@SETS
def test_noise_is_what_separates_noised_rows_from_clean_ones(name: str) -> None:
    data = build("data", name)
    batch = noised(data, "held_out", 0)
    assert torch.equal(batch.x, noised(data, "held_out", 0).x)
    if batch.clean is None:
        assert data.noise == 0
        return
    pixels = (batch.x - batch.clean).flatten()[:, None]
    z_mean, z_variance = moment_z_scores(pixels, 0.0, data.noise**2)
    assert z_mean < 4 and z_variance < 4


def test_digits_are_1437_rows_and_360_with_each_class_in_proportion() -> None:
    data = build("data", "digits")
    train, held_out = data.split("train"), data.split("held_out")
    assert len(train.x) == 1437 and len(held_out.x) == 360
    assert train.y is not None and held_out.y is not None
    share = held_out.y.bincount() / (train.y.bincount() + held_out.y.bincount())
    assert (share * 1797 / 360 - 1).abs().max() < 0.03
    assert train.x.min() == -1 and train.x.max() == 1


def test_decoded_digits_are_pictures_between_zero_and_one() -> None:
    data = build("data", "digits", {"noise": 0.5})
    pictures = data.decode(data.sample(20, seeded(0)).x)
    assert pictures.shape == (20, 8, 8) and pictures.min() == 0 and pictures.max() == 1
    clean = data.decode(data.split("train").x[:5])
    np.testing.assert_allclose(clean * 16, np.round(clean * 16), atol=1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_decoded_rows_are_the_rows(name: str) -> None:
    data = build("data", name)
    x = data.sample(5, seeded(0)).x
    np.testing.assert_array_equal(data.decode(x), x.numpy())


@pytest.mark.parametrize("name", EXACT)
def test_a_set_of_n_rows_draws_from_those_rows(name: str) -> None:
    data = build("data", name, {"n": 10})
    rows = data.split("train").x
    assert len(rows) == 10
    drawn = data.sample(300, seeded(0)).x
    assert len(torch.cat([rows, drawn]).unique(dim=0)) == 10 == len(drawn.unique(dim=0))


@pytest.mark.parametrize("name", EXACT)
def test_the_density_integrates_to_one(name: str, float64: None) -> None:
    data = build("data", name)
    reach = 1.6 * float(data.draw(20_000, seeded(0)).x.abs().max())
    assert log_integral(data.log_prob, 2, reach, int(2 * reach / 0.05)) == pytest.approx(0, abs=1e-6)


def test_a_gaussian_on_a_line_integrates_to_one(float64: None) -> None:
    data = build("data", "gaussian", {"dim": 1, "mean": 1.0, "std": 0.5})
    assert log_integral(data.log_prob, 1, 6.0, 241) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_draws_follow_the_density(name: str, float64: None) -> None:
    data, n, edges = build("data", name), 30_000, np.linspace(-3, 3, 25)
    x = data.draw(n, seeded(0)).x.numpy()
    expected = n * cell_masses(data.log_prob, edges)
    counts = np.histogram2d(x[:, 0], x[:, 1], bins=[edges, edges])[0]
    full = expected >= 10
    # Sparse cells and all beyond the grid are one cell more.
    seen, due = [*counts[full], n - counts[full].sum()], [*expected[full], n - expected[full].sum()]
    assert full.sum() > 50
    assert chisquare(seen, due).pvalue > 1e-4


def test_two_moons_density_is_exact_at_the_least_noise(float64: None) -> None:
    data = build("data", "two_moons", {"noise": 0.02})
    x = data.sample(50, seeded(0)).x
    t = torch.linspace(0, math.pi, 8001)
    upper = TwoMoons._upper(t)
    square = (x[:, None, None] - torch.stack([upper, -upper])).square().sum(3)
    density = (-0.5 * square / 0.02**2).exp() / (2 * math.pi * 0.02**2)
    expected = torch.from_numpy(simpson(density.numpy(), x=t.numpy()).sum(1) / (2 * math.pi))
    torch.testing.assert_close(data.log_prob(x).exp(), expected, rtol=1e-7, atol=1e-7)


def test_two_moons_are_scikit_learns_moved_to_the_centre() -> None:
    theirs, labels = make_moons(2001, shuffle=False)
    batch = build("data", "two_moons").sample(200, seeded(0))
    assert batch.clean is not None and batch.y is not None
    for y in (0, 1):
        moon = torch.from_numpy(theirs[labels == y] - [0.5, 0.25]).float()
        distance = torch.cdist(batch.clean[batch.y == y], moon).amin(1)
        # Theirs are 1,000 points of a half circle, so none of ours is further than half their spacing.
        assert distance.max() < 0.6 * math.pi / 1000


def test_labels_name_the_part_that_a_row_belongs_to() -> None:
    batch = build("data", "gaussians_8", {"noise": 0.1}).sample(500, seeded(0))
    assert batch.y is not None
    angle = torch.atan2(batch.x[:, 1], batch.x[:, 0])
    assert torch.equal((angle / (math.pi / 4)).round().long() % 8, batch.y)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("digits", "noise", -0.1),
        ("gaussian", "dim", 0),
        ("gaussian", "std", 0.0),
        ("gaussian", "n", 0),
        ("gaussians_8", "noise", 0.0),
        ("gaussians_8", "seed", -1),
        ("two_moons", "noise", 0.01),
    ],
)
def test_a_wrong_value_is_named(name: str, key: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{key} must be "):
        build("data", name, {key: value})
