"""Negation: for Gaussians the precisions are subtracted. It is refused if the difference is not positive."""

from typing import Any

import pytest
import torch
from torch import nn

from ebm_cli.check import InputError
from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.energy.mlp import MLP
from ebm_cli.energy.negation import Negation
from ebm_cli.estimate import refused
from tests.contract import quadrature_moments
from tests.energy.parts import pair, quadratic

pytestmark = pytest.mark.usefixtures("float64")


def example() -> dict[str, Any]:
    return {"runs": pair()}


def part(energy: nn.Module, event: tuple[int, ...] = (2,)) -> TrainedComponent:
    return TrainedComponent("mine", energy, event, 1.0, lambda *_: refused("not asked for"))


@pytest.mark.parametrize(("alpha", "confinement"), [(0.2, 0.0), (0.5, 0.7)])
def test_precisions_of_gaussians_subtract(alpha: float, confinement: float) -> None:
    energy = Negation([quadratic(2.0, 0.5), quadratic([1.0, 3.0])], alpha, None, confinement)
    precision = 2.0 / 0.5 - alpha * torch.tensor([1.0, 3.0]) + confinement
    _, variance = quadrature_moments(lambda x: -energy(x), 2, 8.0, 161)
    torch.testing.assert_close(variance, 1 / precision)


def test_a_difference_that_falls_is_refused_until_confinement_makes_up_for_it() -> None:
    parts = [quadratic(1.0), quadratic(3.0)]
    message = r"^runs: this combination is not normalizable: along \d+ of 260 directions .* increase confinement"
    with pytest.raises(InputError, match=message):
        Negation(parts, 0.5, None, 0.0)
    # a_A − αa_B + confinement is 0, and then is not.
    with pytest.raises(InputError, match=message):
        Negation(parts, 0.5, None, 0.5)
    Negation(parts, 0.5, None, 0.51)
    Negation(parts, 0.3, None, 0.0)


def test_one_improper_axis_of_many_is_found() -> None:
    curvatures = [1.0] * 99 + [2.2]
    with pytest.raises(InputError, match=r"^runs: this combination is not normalizable"):
        Negation([quadratic([1.0] * 100, event=(100,)), quadratic(curvatures, event=(100,))], 0.5, None, 0.0)


class Ridge(nn.Module):
    """½(uᵀx)²·a for a direction u that is not an axis."""

    def __init__(self, u: torch.Tensor, a: float) -> None:
        super().__init__()
        self.u, self.a = u / u.norm(), a

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.a * (x @ self.u).square()


def test_an_improper_direction_that_is_no_axis_is_found(rng: torch.Generator) -> None:
    # In 50 dimensions a random ray has a 50th of its square along u, where a fall needs more than a half.
    ridge = part(Ridge(torch.randn(50, generator=rng), 4.0), (50,))
    with pytest.raises(InputError, match=r"^runs: this combination is not normalizable"):
        Negation([quadratic(1.0, event=(50,)), ridge], 0.5, None, 0.0)
    Negation([quadratic(1.0, event=(50,)), ridge], 0.2, None, 0.0)


class Logarithm(nn.Module):
    """E = a·log(1 + ‖x‖²): proper only for a > d/2, although it rises slowly."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = a

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a * x.square().sum(1).log1p()


def test_an_energy_that_rises_too_slowly_for_a_finite_z_is_refused() -> None:
    with pytest.raises(InputError, match=r"^runs: this combination is not normalizable"):
        Negation([part(Logarithm(1.5)), part(Logarithm(1.2))], 0.5, None, 0.0)
    Negation([part(Logarithm(1.8)), part(Logarithm(1.2))], 0.5, None, 0.0)


def test_networks_of_equal_confinement_keep_a_share_of_it(rng: torch.Generator) -> None:
    a, b = (MLP(16, 2, 4, 3.0, None, confinement, 0, None, (2,), None) for confinement in (0.3, 0.3))
    Negation([part(a), part(b)], 0.5, None, 0.0)
    loose = MLP(16, 2, 4, 3.0, None, 0.1, 0, None, (2,), None)
    with pytest.raises(InputError, match=r"^runs: this combination is not normalizable"):
        Negation([part(loose), part(b)], 0.5, None, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 0.0}, r"^alpha must be in \(0, 1\), got 0.0"),
        ({"alpha": 1.0}, r"^alpha must be in \(0, 1\), got 1.0"),
        ({"confinement": -1.0}, "^confinement must be >= 0, got -1.0"),
        ({"runs": [*pair(), quadratic(1.0)]}, "^runs must name two runs, of which the second is negated, got 3"),
    ],
)
def test_wrong_values_are_named(changes: dict[str, Any], message: str) -> None:
    given = {"runs": pair(), "alpha": 0.5, "temperatures": None, "confinement": 0.0} | changes
    with pytest.raises(InputError, match=message):
        Negation(**given)
