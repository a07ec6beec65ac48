"""Product: for Gaussians the precision is the weighted sum of the precisions."""

from typing import Any

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.product import Product
from tests.contract import quadrature_moments
from tests.energy.parts import pair, quadratic

pytestmark = pytest.mark.usefixtures("float64")


def example() -> dict[str, Any]:
    return {"runs": pair()}


def test_precisions_of_gaussians_add_with_weight_over_temperature() -> None:
    energy = Product(pair(), [1.5, 0.5], None)
    # w₁a₁/T₁ + w₂a₂/T₂ for either coordinate.
    precision = torch.tensor([1.5 * 2.0 + 0.5 * 1.0 / 2.0, 1.5 * 2.0 + 0.5 * 3.0 / 2.0])
    mean, variance = quadrature_moments(lambda x: -energy(x), 2, 8.0, 161)
    torch.testing.assert_close(variance, 1 / precision)
    torch.testing.assert_close(mean, torch.zeros(2))


def test_temperatures_that_are_given_replace_those_of_training(rng: torch.Generator) -> None:
    x = torch.randn(5, 2, generator=rng)
    parts = pair()
    expected = parts[0].energy(x) / 4.0 + parts[1].energy(x) / 0.5
    torch.testing.assert_close(Product(parts, None, [4.0, 0.5])(x), expected)


def test_a_run_trained_at_no_temperature_needs_one() -> None:
    parts = [quadratic(1.0), quadratic(2.0, 0.0)]
    with pytest.raises(InputError, match=r"^temperatures must be given: run-2.0 was trained at 0, without a density"):
        Product(parts, None, None)
    Product(parts, None, [1.0, 1.0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"^weights must be a list with one number per run, 2 in all, got \[1.0\]"),
        ([1.0, -0.5], "^weights must be > 0, got -0.5"),
        ([1.0, 0.0], "^weights must be > 0, got 0.0"),
    ],
)
def test_wrong_weights_are_named(weights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Product(pair(), weights, None)


def test_one_run_is_no_product() -> None:
    with pytest.raises(InputError, match=r"^runs must name at least two runs, got 1"):
        Product(pair()[:1], None, None)


def test_runs_of_different_shapes_are_named() -> None:
    with pytest.raises(InputError, match=r"^runs must be of one event shape, got \[2\] of run-2.0, \[3\] of run-1.0"):
        Product([quadratic(2.0), quadratic(1.0, event=(3,))], None, None)


def test_every_part_is_said_with_its_temperature_and_power() -> None:
    assert Product(pair(), None, None).notes[1] == "product: run-[1.0, 3.0] at T = 2 to the power 1"
