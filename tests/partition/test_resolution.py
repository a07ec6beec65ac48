"""Resolution: rounding of energies is in every bracket, and modes too narrow to be found are named with their width."""

import math

import pytest
from torch import Tensor, nn

from ebm_cli import partition
from ebm_cli.chain.budget import Budget
from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.mixture import Mixture
from ebm_cli.energy.mlp import MLP
from ebm_cli.estimate import Estimate
from ebm_cli.partition.quadrature import quadrature
from ebm_cli.partition.reference_states import reference_states
from ebm_cli.partition.resolution import is_known_smooth, narrowest_mode, rounding_of_energies, with_resolution
from ebm_cli.path._coordinates import Integrand, whiten
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.paths import settings


class Offset(nn.Module):
    """c + ½‖x‖²."""

    def __init__(self, c: float) -> None:
        super().__init__()
        self.c = c

    def forward(self, x: Tensor) -> Tensor:
        return self.c + 0.5 * x.square().sum(1)


class Declared(Offset):
    narrowest_mode = 0.5


def exact(c: float, d: int) -> float:
    return d / 2 * math.log(2 * math.pi) - c


def by_quadrature(energy: nn.Module, d: int, rows: Tensor | None = None) -> Estimate:
    integrand = Integrand(energy, 1.0, (d,), rows, 0)
    return quadrature(whiten(integrand, reference_states(integrand)))


@pytest.mark.parametrize("c", [1e4, -3e5, 1e7])
def test_a_large_constant_is_in_the_bracket(c: float) -> None:
    found = by_quadrature(Offset(c), 1)
    assert found.lower <= exact(c, 1) <= found.upper
    assert (found.verdict == "ok") == (abs(c) * 2**-24 < 0.01)
    assert found.verdict == "ok" or ("float32 resolves log Z to" in found.reason and "dtype=float64" in found.reason)


def test_constant_that_hides_all_digits_is_refused_and_float64_is_right(request) -> None:
    c = 1e8
    found = by_quadrature(Offset(c), 1)
    assert found.verdict == "refused" and "float32 is too coarse" in found.reason and "dtype=float64" in found.reason
    request.getfixturevalue("float64")
    found = by_quadrature(Offset(c), 1)
    assert found.verdict == "ok" and abs(found.value - exact(c, 1)) < 1e-6


@pytest.mark.parametrize(("c", "verdict"), [(1e3, "ok"), (1e6, "caution"), (1e8, "refused")])
def test_paths_have_rounding_in_their_bracket(c: float, verdict: str) -> None:
    integrand = Integrand(Offset(c), 1.0, (5,), normal_rows(200, 5), 0)
    found = partition.log_z(integrand, settings(method="auto"), Budget()).estimate
    assert found.verdict == verdict, found.reason
    if found.value is not None:
        assert found.lower <= exact(c, 5) <= found.upper
    else:
        assert "float32 is too coarse" in found.reason


def test_rounding_of_energies_is_half_the_distance_of_neighbors() -> None:
    rows = normal_rows(100, 3)
    assert rounding_of_energies(Integrand(Offset(2.0**20), 2.0, (3,), rows, 0), rows) == pytest.approx(
        2.0**-5, rel=1e-3
    )


def test_energies_of_the_package_are_known_and_others_are_not() -> None:
    assert is_known_smooth(MLP(8, 1, 0, 1.0, None, 1.0, 0, None, (2,), None)) and is_known_smooth(
        build("energy", "funnel", event=(2,))
    )
    assert not is_known_smooth(Offset(0.0)) and not is_known_smooth(nn.Sequential(Offset(0.0)))
    mixture = build("energy", "gaussian_mixture", {"means": [[0.0], [1.0]], "stds": [1.0, 0.25], "weights": [1.0, 1.0]})
    assert not is_known_smooth(mixture) and narrowest_mode(mixture) == pytest.approx(0.25)


def test_an_energy_of_a_users_own_is_doubted_in_two_dimensions_unless_it_declares_its_narrowest_mode() -> None:
    doubted, own = by_quadrature(Offset(0.0), 2), by_quadrature(Declared(0.0), 2)
    assert doubted.verdict == "caution" and "narrowest_mode = 0.0" in doubted.reason
    assert own.verdict == "ok" and "is missed unless E slopes toward it" in own.reason
    assert by_quadrature(Offset(0.0), 2, normal_rows(100, 2)).verdict == "ok"
    assert by_quadrature(Offset(0.0), 1).verdict == "ok"


def test_a_narrow_mode_that_is_lost_within_a_composition_is_doubted() -> None:
    """One part holds nine tenths of the mass in a mode of width 1e-4, and declares it."""
    parts = [
        TrainedComponent("run", GaussianMixture([[at, at]], [std], [1.0]), (2,), 1.0, lambda *_: Estimate(0.0))
        for at, std in ((0.0, 1.0), (0.7, 1e-4))
    ]
    found = by_quadrature(Mixture(parts, [0.1, 0.9], None, True, 1000, 0.5), 2)
    assert found.lower is not None and found.upper is not None
    assert found.verdict == "caution" or found.lower <= 0.0 <= found.upper, found
    assert not is_known_smooth(Mixture(parts, None, None, True, 1000, 0.5))


def test_paths_name_the_width_below_which_modes_are_missed() -> None:
    rows = normal_rows(400, 5)
    estimate = Estimate(0.0, lower=-0.1, upper=0.1, unit="nats", reasons=("paths",))
    asked = Integrand(Offset(0.0), 1.0, (5,), None, 0)
    found = with_resolution(estimate, asked, rows, 60_000)
    # Three of 60,000 normal states of width 3 fall into a ball of this radius about the middle.
    ball = math.pi**2.5 / math.gamma(3.5)
    radius = 3 * math.sqrt(2 * math.pi) * (3 / 60_000 / ball) ** 0.2
    assert found.verdict == "caution" and f"{radius * float(rows.std(0).mean()):.2g} in x is missed" in found.reason
    assert with_resolution(estimate, Integrand(Declared(0.0), 1.0, (5,), None, 0), rows, 10**9).verdict == "ok"
    assert with_resolution(estimate, Integrand(Offset(0.0), 1.0, (5,), rows, 0), rows, 60_000).verdict == "ok"
