"""Bases: normalised, their draws follow them, gradients by formula are those by autograd."""

import math

import pytest
import torch
from torch import Tensor

from ebm_cli.partition.base import Base, Box, Mixture, Normal
from tests.contract import log_integral
from tests.partition.integrand import normal_rows

pytestmark = pytest.mark.usefixtures("float64")


def two_lumps(n: int, d: int) -> Tensor:
    """Half the rows at −3, half at +3 along the first coordinate, 0.7 wide."""
    rows = normal_rows(n, d, scale=0.7)
    rows[::2, 0] += 3
    rows[1::2, 0] -= 3
    return rows


def bases(d: int) -> dict[str, Base]:
    return {
        "normal": Normal(torch.zeros(d)),
        "mixture": Mixture(two_lumps(400, d), 1.1),
        "one Gaussian": Mixture(normal_rows(12, d), 1.1),
    }


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", ["normal", "mixture", "one Gaussian"])
def test_a_density_integrates_to_one(name: str, d: int) -> None:
    base = bases(d)[name]
    assert log_integral(lambda z: -base.energy_and_grad(z)[0], d, 15.0, 601) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["normal", "mixture"])
def test_draws_have_the_mean_and_variance_of_the_density(name: str) -> None:
    base, n = bases(1)[name], 40_000
    grid = torch.linspace(-15, 15, 20_001)[:, None]
    p = (-base.energy_and_grad(grid)[0]).exp() * 30 / 20_000
    mean = float((p * grid[:, 0]).sum())
    moments = [float((p * (grid[:, 0] - mean) ** k).sum()) for k in (2, 4)]
    z = base.draw(n, torch.Generator().manual_seed(0))[:, 0]
    assert abs(float(z.mean()) - mean) < 4 * (moments[0] / n) ** 0.5
    assert abs(float((z - mean).square().mean()) - moments[0]) < 4 * ((moments[1] - moments[0] ** 2) / n) ** 0.5


@pytest.mark.parametrize("name", ["normal", "mixture", "one Gaussian"])
def test_the_gradient_is_that_of_autograd(name: str, rng: torch.Generator) -> None:
    base = bases(3)[name]
    z = (4 * torch.randn(20, 3, generator=rng)).requires_grad_(True)
    u, grad = base.energy_and_grad(z)
    if u.requires_grad:
        torch.testing.assert_close(grad, torch.autograd.grad(u.sum(), z)[0])
    else:
        nearby = base.energy_and_grad(z + 1e-6 * grad)[0] - u
        torch.testing.assert_close(nearby, 1e-6 * grad.square().sum(1), rtol=1e-3, atol=1e-9)


def test_a_mixture_takes_as_many_gaussians_as_rows_left_out_like_and_few_rows_one() -> None:
    assert bases(2)["mixture"].said == "a mixture of 2 Gaussians"
    assert bases(6)["one Gaussian"].said == "a Gaussian"


def test_a_box_is_uniform_inside_and_forbidden_outside() -> None:
    box = Box(torch.zeros(3))
    z = box.draw(3000, torch.Generator().manual_seed(0))
    assert (z.abs() < 1).all()
    assert abs(float(z.square().mean()) - 1 / 3) < 4 * (4 / 45 / 9000) ** 0.5
    u, grad = box.energy_and_grad(torch.tensor([[0.5, -0.5, 0.99], [0.0, 1.01, 0.0]]))
    assert u.tolist() == [pytest.approx(3 * math.log(2)), math.inf] and not grad.any()
