"""φ⁴: wells of one sign, the cost of a wall, the lattice's symmetry, and Z of a ring by its transfer matrix."""

import pytest
import torch

from ebm_cli.check import InputError
from scripts.hard_energies import log_z_by_transfer_matrix
from tests.contract import build, log_integral

pytestmark = pytest.mark.usefixtures("float64")


def test_two_sites_integrate_to_what_the_transfer_matrix_says() -> None:
    energy = build("energy", "phi4", event=(2,))
    for T in (0.5, 2.0):
        found = log_integral(lambda x, T=T: -energy(x) / T, 2, 8.0, 401)
        assert log_z_by_transfer_matrix(-1.0, 1.0, 2, T) == pytest.approx(found, abs=1e-8)


def test_wells_are_where_the_docstring_says_and_a_wall_costs_its_length() -> None:
    energy = build("energy", "phi4", {"mass_squared": -4.0, "coupling": 2.0}, event=(6, 6))
    up = torch.full((1, 6, 6), 2.0**0.5)
    e, grad = energy.energy_and_grad(up)
    torch.testing.assert_close(grad, torch.zeros_like(grad))
    torch.testing.assert_close(e, torch.tensor([-2.0 * 36]))
    halves = up.clone()
    halves[:, :3] *= -1
    # Two walls of six links, each stretched by 2√2.
    torch.testing.assert_close(energy(halves) - e, torch.tensor([2 * 6 * 0.5 * 8.0]))


def test_a_shifted_or_mirrored_field_has_the_same_energy(rng: torch.Generator) -> None:
    energy, x = build("energy", "phi4", event=(5, 7)), torch.randn(3, 5, 7, generator=rng)
    for other in (x.roll(2, 1), x.roll(-3, 2), x.flip(1), -x):
        torch.testing.assert_close(energy(other), energy(x))


def test_a_coupling_of_zero_is_named() -> None:
    with pytest.raises(InputError, match=r"^coupling must be > 0"):
        build("energy", "phi4", {"coupling": 0.0}, event=(4,))
