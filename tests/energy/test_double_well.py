"""Double well: the positions and heights of its wells and its barrier."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.double_well import DoubleWell

pytestmark = pytest.mark.usefixtures("float64")


def test_wells_lie_at_zero_and_the_barrier_is_as_high_as_said() -> None:
    e, grad = energy_and_grad(DoubleWell(3.0, 0.0, None), torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(e, torch.tensor([0.0, 0.0, 3.0]))
    torch.testing.assert_close(grad, torch.zeros(3, 2))


def test_a_wells_curvature_is_eight_times_the_barrier() -> None:
    energy = DoubleWell(3.0, 0.0, (3,))
    hessian = torch.autograd.functional.hessian(lambda x: energy(x[None])[0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(hessian, torch.diag(torch.tensor([24.0, 1.0, 1.0])))


def test_tilt_raises_the_right_well() -> None:
    left, right = DoubleWell(3.0, 0.4, None)(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    torch.testing.assert_close(right - left, torch.tensor(0.8))


def test_the_other_coordinates_are_independent_gaussians(rng: torch.Generator) -> None:
    energy = DoubleWell(2.0, 0.3, (4,))
    x = torch.randn(5, 4, generator=rng)
    first = torch.cat([x[:, :1], torch.zeros(5, 3)], 1)
    torch.testing.assert_close(energy(x), energy(first) + 0.5 * x[:, 1:].square().sum(1))


def test_a_flat_barrier_is_named() -> None:
    with pytest.raises(InputError, match=r"^barrier must be > 0"):
        DoubleWell(0.0, 0.0, None)
