"""Müller–Brown potential: its published minima and saddles."""

import numpy as np
import pytest
import torch
from scipy.optimize import root

from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.muller_brown import MullerBrown

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
    ("place", "value", "falling"),
    [
        ((-0.558, 1.442), -146.700, 0),
        ((0.623, 0.028), -108.167, 0),
        ((-0.050, 0.467), -80.768, 0),
        ((-0.822, 0.624), -40.665, 1),
        ((0.212, 0.293), -72.249, 1),
    ],
)
def test_minima_and_saddles_are_the_published_ones(place: tuple[float, float], value: float, falling: int) -> None:
    energy = MullerBrown(1.0)
    found = root(lambda x: energy_and_grad(energy, torch.tensor(x)[None])[1][0].numpy(), place, tol=1e-10)
    x = torch.tensor(found.x)
    assert np.abs(found.x - place).max() < 1e-3
    e, grad = energy_and_grad(energy, x[None])
    assert float(e) == pytest.approx(value, abs=5.1e-4)
    assert float(grad.abs().max()) < 1e-6
    hessian = torch.autograd.functional.hessian(lambda x: energy(x[None])[0], x)
    assert int((torch.linalg.eigvalsh(hessian) < 0).sum()) == falling


def test_scale_multiplies_the_published_potential(rng: torch.Generator) -> None:
    x = torch.randn(5, 2, generator=rng)
    torch.testing.assert_close(MullerBrown(0.05)(x), 0.05 * MullerBrown(1.0)(x))


def test_a_scale_of_zero_is_named() -> None:
    with pytest.raises(InputError, match=r"^scale must be > 0"):
        MullerBrown(0.0)
