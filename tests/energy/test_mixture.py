"""Mixture: normalized by the log Z of its parts, and refused if any of these is unknown."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.energy.mixture import Mixture
from ebm_cli.estimate import Estimate, refused
from tests.contract import log_integral, quadrature_moments
from tests.energy.parts import pair, quadratic

pytestmark = pytest.mark.usefixtures("float64")


def example() -> dict[str, Any]:
    return {"runs": pair()}


def with_log_z(estimate: Estimate) -> TrainedComponent:
    return dataclasses.replace(quadratic(1.0), log_z=lambda *_: estimate)


def test_a_mixture_of_gaussians_integrates_to_one_with_the_shares_of_its_weights() -> None:
    energy = Mixture(pair(), [3.0, 1.0], None, False, 1, 1.0)
    assert log_integral(lambda x: -energy(x), 2, 15.0, 241) == pytest.approx(0.0, abs=1e-9)
    _, variance = quadrature_moments(lambda x: -energy(x), 2, 15.0, 241)
    # Variances T/a of either part, three quarters of the first.
    expected = torch.tensor([0.75 * 0.5 + 0.25 * 2.0, 0.75 * 0.5 + 0.25 * 2.0 / 3.0])
    torch.testing.assert_close(variance, expected)


def test_it_is_the_log_sum_of_the_normalised_densities(rng: torch.Generator) -> None:
    x = torch.randn(6, 2, generator=rng)
    normals = [torch.distributions.Normal(0.0, torch.tensor(s)) for s in ([0.5**0.5] * 2, [2**0.5, (2 / 3) ** 0.5])]
    densities = [normal.log_prob(x).sum(1).exp() for normal in normals]
    energy = Mixture(pair(), [3.0, 1.0], None, False, 1, 1.0)
    torch.testing.assert_close(energy(x), -(0.75 * densities[0] + 0.25 * densities[1]).log())


def test_unnormalised_shares_are_weight_times_z_and_that_is_said() -> None:
    def never(*_: Any) -> Estimate:
        raise AssertionError("log Z was asked for")

    parts = [dataclasses.replace(part, log_z=never) for part in pair()]
    energy = Mixture(parts, [3.0, 1.0], None, True, 1, 1.0)
    x = torch.zeros(1, 2)
    torch.testing.assert_close(energy(x), torch.zeros(1))
    z = [2 * math.pi / 2, 2 * math.pi * 2 / math.sqrt(3)]
    expected = math.log(0.75 * z[0] + 0.25 * z[1])
    assert log_integral(lambda x: -energy(x), 2, 15.0, 241) == pytest.approx(expected, abs=1e-9)
    assert "unnormalized" in energy.notes[0]


@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        (refused("the mass fits no box"), r"it is refused \(the mass fits no box\).*unnormalised=true"),
        (
            Estimate(1.0, lower=0.9, verdict="caution", reasons=("no reverse end: not mixed",)),
            r"only one bound is available \(no reverse end: not mixed\).*unnormalised=true",
        ),
    ],
)
def test_a_part_without_a_two_sided_log_z_refuses_the_mixture(estimate: Estimate, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Mixture([quadratic(2.0), with_log_z(estimate)], None, None, False, 1, 1.0)


def test_a_doubtful_log_z_is_said() -> None:
    doubtful = Estimate(1.0, lower=0.5, upper=1.5, verdict="caution", reasons=("the ends are 1 nats apart",))
    energy = Mixture([quadratic(2.0), with_log_z(doubtful)], None, None, False, 1, 1.0)
    assert energy.notes[1].endswith("between 0.5 and 1.5, caution: the ends are 1 nats apart")


@pytest.mark.parametrize(("name", "value", "bound"), [("budget", 0, ">= 1"), ("target", 0.0, "> 0")])
def test_wrong_spending_is_named(name: str, value: float, bound: str) -> None:
    with pytest.raises(InputError, match=f"^{name} must be {bound}, got {value}"):
        Mixture(pair(), None, None, False, **({"budget": 1, "target": 1.0} | {name: value}))
