"""The term that contrastive divergence omits: its gradient and its entropy against closed forms of Gaussians."""

import math

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.regularizer.contrastive_kl import ContrastiveKL, entropy
from tests.contract import build
from tests.regularizer.outcome import outcome

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(("dim", "std"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_entropy_of_a_gaussian(dim: int, std: float, rng: torch.Generator) -> None:
    sets = torch.stack([entropy(std * torch.randn(400, dim, generator=rng)) for _ in range(100)])
    exact = 0.5 * dim * math.log(2 * math.pi * math.e * std**2)
    # The estimate's own bias at 400 rows, of order 1/n in one dimension and n^(−2/d) above, is under 0.02.
    assert abs(float(sets.mean()) - exact) < 4 * float(sets.std()) / 10 + 0.02


def test_entropy_of_rows_that_coincide_is_finite() -> None:
    assert entropy(torch.zeros(5, 2)).isfinite()


def divergence_gradient(a: float, s: float, η: float, weight: float) -> float:
    """d/da of ½s²a − ½ log a-free parts: (s² − v)/2 + weight·dKL(N(0, v)‖N(0, 1/a))/dv·dv/da, v after one SGLD step."""
    v, dv = (1 - η * a) ** 2 * s**2 + 2 * η, -2 * η * (1 - η * a) * s**2
    return 0.5 * (s**2 - v) + weight * 0.5 * (a - 1 / v) * dv


def contrastive_divergence(a: float, s: float, η: float) -> float:
    """KL(N(0, s²)‖N(0, 1/a)) − KL(N(0, v)‖N(0, 1/a)) in closed form, v after one SGLD step from data."""

    def kl(variance: float) -> float:
        return 0.5 * (a * variance - 1 - math.log(a * variance))

    return kl(s**2) - kl((1 - η * a) ** 2 * s**2 + 2 * η)


def test_with_weight_minus_one_the_gradient_is_that_of_contrastive_divergence_itself() -> None:
    a, s, η, h = 0.7, 1.4, 0.3, 1e-6
    slope = (contrastive_divergence(a + h, s, η) - contrastive_divergence(a - h, s, η)) / (2 * h)
    assert divergence_gradient(a, s, η, weight=-1) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_the_gradient_through_the_last_step_is_the_closed_form(weight: float, rng: torch.Generator) -> None:
    a, s, η, repeats = 0.7, 1.4, 0.3, 200
    regularizer = ContrastiveKL(weight, build("sampler", "sgld", {"step_size": η}))
    values = []
    for _ in range(repeats):
        energy = Quadratic([a], None)
        x = s * torch.randn(500, 1, generator=rng)
        # The objective's own chain stands at its start: the term makes the one step that is differentiated.
        regularizer(energy, outcome(energy, x, x), rng).backward()
        values.append(float(energy.a.grad))
    found = torch.tensor(values)
    exact = divergence_gradient(a, s, η, weight) - divergence_gradient(a, s, η, 0)
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / repeats**0.5 + 0.01 * abs(exact)


def test_it_needs_chains_and_a_step(rng: torch.Generator) -> None:
    energy = Quadratic([1.0], None)
    with pytest.raises(InputError, match="needs an objective with two chains"):
        ContrastiveKL(1.0, build("sampler", "sgld", {"step_size": 0.1}))(
            energy, outcome(energy, torch.zeros(3, 1)), rng
        )
    with pytest.raises(InputError, match=r"^weight must not be 0"):
        build("regularizer", "contrastive_kl", {"weight": 0.0}, sampler=build("sampler", "sgld", {"step_size": 0.1}))
