"""Lennard-Jones cluster: its pair potential, its symmetries, its confinement, and its published lowest energies."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.lennard_jones import LennardJones
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def cluster(particles: int, **changes: float) -> LennardJones:
    return build("energy", "lennard_jones", changes, event=(particles, 3))


def spread_out(rng: torch.Generator, particles: int = 6, n: int = 5) -> torch.Tensor:
    """States without particles close to each other, some of them outside the wall."""
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.2, 2.4])] * 3)[:particles] * 1.5
    return corners + 0.1 * torch.randn(n, particles, 3, generator=rng)


@pytest.mark.parametrize(("depth", "diameter"), [(1.0, 1.0), (0.7, 1.3)])
def test_pair_has_its_minimum_of_minus_the_depth_at_the_published_distance(depth: float, diameter: float) -> None:
    energy = cluster(2, depth=depth, diameter=diameter)
    x = torch.zeros(3, 2, 3)
    x[:, 0, 2] = diameter * torch.tensor([1.0, 2 ** (1 / 6), 10.0]) / 2
    x[:, 1, 2] = -x[:, 0, 2]
    x[2] *= 0.2
    e, grad = energy_and_grad(energy, x)
    assert e[0].item() == pytest.approx(0, abs=1e-12) and e[1].item() == pytest.approx(-depth, abs=1e-12)
    assert grad[1].abs().max() < 1e-12
    assert e[2].item() == pytest.approx(4 * depth * (2.0**-12 - 2.0**-6))


def test_gradient_is_that_of_autograd_and_of_finite_differences_inside_and_outside_the_wall(
    rng: torch.Generator,
) -> None:
    energy, x = cluster(6, radius=1.5), spread_out(rng).requires_grad_(True)
    assert ((x - x.mean(1, keepdim=True)).norm(dim=2) > 1.5).any()
    e = energy(x)
    own_e, grad = energy_and_grad(energy, x.detach())
    torch.testing.assert_close(own_e, e)
    torch.testing.assert_close(grad, torch.autograd.grad(e.sum(), x)[0])
    along, h = torch.randn(x.shape, generator=rng), 1e-6
    slope = (energy(x + h * along) - energy(x - h * along)) / (2 * h)
    torch.testing.assert_close((grad * along).sum((1, 2)), slope, rtol=1e-7, atol=1e-7)


def test_core_is_the_tangent_of_the_pair_energy_and_finite_at_distance_zero() -> None:
    x = torch.zeros(3, 2, 3)
    x[:, 0, 1] = torch.tensor([0.8, 0.3, 0.0])
    e, grad = energy_and_grad(cluster(2, core=0.8, center=1e-12), x)
    value, slope = 4 * (0.8**-12 - 0.8**-6), 24 * (0.8**-7 - 2 * 0.8**-13)
    torch.testing.assert_close(e, value + slope * (x[:, 0, 1] - 0.8))
    torch.testing.assert_close(grad[:2, 0, 1], torch.full((2,), slope))
    torch.testing.assert_close(
        cluster(2, core=0.0, center=1e-12)(x[:2]), 4 * (x[:2, 0, 1] ** -12 - x[:2, 0, 1] ** -6), atol=1e-9, rtol=1e-9
    )


def test_energy_is_invariant_under_rotations_reflections_and_permutations(rng: torch.Generator) -> None:
    energy, x = cluster(6, radius=1.5), spread_out(rng)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=rng))
    torch.testing.assert_close(energy(x @ turn), energy(x))
    torch.testing.assert_close(energy(x[:, torch.randperm(6, generator=rng)]), energy(x))


def test_translation_changes_only_the_restraint_of_the_center(rng: torch.Generator) -> None:
    energy, x, shift = cluster(6, radius=1.5, center=0.7), spread_out(rng), torch.tensor([0.3, -1.0, 2.0])
    x = x - x.mean(1, keepdim=True)
    torch.testing.assert_close(energy(x + shift), energy(x) + 0.5 * 0.7 * 6 * shift.square().sum())


def test_wall_is_zero_inside_its_radius_and_a_parabola_outside() -> None:
    x = torch.zeros(2, 2, 3)
    x[:, 0, 0], x[:, 1, 0] = torch.tensor([2.0, 3.5]), -torch.tensor([2.0, 3.5])
    pair = 4 * (torch.tensor([4.0, 7.0]) ** -12 - torch.tensor([4.0, 7.0]) ** -6)
    expected = pair + torch.tensor([0.0, 2 * 0.5 * 10 * 1.0])
    torch.testing.assert_close(cluster(2, radius=2.5, wall=10.0)(x), expected)


# Wales and Doye, 1997; the Cambridge Cluster Database.
@pytest.mark.parametrize(
    ("particles", "lowest"),
    [
        pytest.param(3, -3.0, marks=pytest.mark.slow),
        pytest.param(4, -6.0, marks=pytest.mark.slow),
        (7, -16.505384),
        pytest.param(13, -44.326801, marks=pytest.mark.slow),
    ],
)
def test_descents_from_chains_find_the_published_lowest_energy(particles: int, lowest: float, here: Path) -> None:
    chains = ["sampler=hmc", "sampler.temperature=0.2", "chains=8", "steps=200", "burn_in=100", "thin=10"]
    cluster = ["energy=lennard_jones", f"event=[{particles},3]", "start.scale=1.5", "dtype=float64"]
    quick = ["threads=1", "seed=0"]
    assert main(["sample", *cluster, *chains, *quick, "out=run"]) in (0, 1)
    assert main(["diagnose", "run=run", "diagnostic=[inherent_structures]", *quick[:1], "out=d"]) in (0, 1)
    found = json.loads((here / "d" / "metrics.json").read_text())
    assert found["lowest_energy"]["value"] == pytest.approx(lowest, abs=1e-6)
    assert (here / "d" / "figures" / "inherent_structures.png").exists()


@pytest.mark.slow
def test_pair_distances_have_the_distribution_of_quadrature(here: Path) -> None:
    chains = ["sampler=tempering", "chains=64", "steps=600", "burn_in=200", "thin=5"]
    words = ["energy=lennard_jones", "event=[2,3]", "sampler.temperature=0.5", "energy.radius=1.0"]
    assert main(["sample", *words, *chains, "threads=1", "seed=0", "out=run"]) == 0
    found = json.loads((here / "run" / "metrics.json").read_text())["energy"]
    # The density of r is r² exp(−E(r)/T), and the center adds (3/2) T.
    r = np.linspace(0.6, 8.0, 20_001)
    e = 4 * (r**-12 - r**-6) + 10 * np.maximum(0, r / 2 - 1) ** 2
    weight = r**2 * np.exp(-(e + 1) / 0.5)
    exact = (e * weight).sum() / weight.sum() + 1.5 * 0.5
    assert abs(found["value"] - exact) < 4 * found["se"]


@pytest.mark.parametrize("event", [(2,), (1, 3), (4, 2), (2, 3, 3)])
def test_other_shapes_are_named(event: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^event must be \[N, 3\]"):
        build("energy", "lennard_jones", event=event)
