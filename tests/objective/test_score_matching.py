"""Score matching: its trace, its value against the Fisher divergence, its gradient."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data.gaussian import Gaussian
from ebm_cli.energy._score import differentiable_grad, trace
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective._score import fisher_divergence
from ebm_cli.objective.score_matching import ScoreMatching
from tests.contract import build
from tests.objective.slope import assert_gradient_is_slope

pytestmark = pytest.mark.usefixtures("float64")


def matching(temperature: float = 1.0, d: int = 2, limit: int = 64) -> ScoreMatching:
    sampler = build("sampler", "sgld", {"temperature": temperature})
    data = Gaussian(d, 0.0, 1.3, None, 0)
    return build("objective", "score_matching", {"max_dimension": limit}, event=(d,), data=data, sampler=sampler)


def test_the_trace_is_that_of_the_hessian(rng: torch.Generator) -> None:
    energy = GaussianMixture([[-1.0, 0.0, 1.0], [1.0, 0.5, 0.0]], [0.6, 0.8], [0.4, 0.6])
    x = torch.randn(5, 3, generator=rng)
    at, _, grad = differentiable_grad(energy, x)
    expected = [torch.autograd.functional.hessian(lambda one: energy(one[None]).sum(), row).trace() for row in x]
    torch.testing.assert_close(trace(grad, at).detach(), torch.stack(expected))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_loss_is_the_fisher_divergence_up_to_a_constant(temperature: float, rng: torch.Generator) -> None:
    objective = matching(temperature)
    batch, gaps = objective.data.sample(200_000, rng), []
    for a in (0.3, 1.0, 2.0):
        outcome = objective(Quadratic(a, (2,)), batch, rng)
        found = outcome.measures["fisher_divergence"]()
        # ½E‖−x/s² + ax/T‖² in closed form.
        torch.testing.assert_close(found, torch.tensor((a / temperature - 1 / 1.69) ** 2 * 1.69), rtol=0.02, atol=1e-9)
        gaps.append(float(outcome.loss.detach() - found))
    # −½E‖∇log p_data‖², within four standard errors of a mean of x² over the batch times the largest a.
    error = (2.0 / temperature) * (2 / 200_000) ** 0.5 * 2
    assert max(abs(gap + 1 / 1.69) for gap in gaps) < 4 * error


def test_the_fisher_divergence_is_nought_at_the_truth_and_leaves_nothing_behind(rng: torch.Generator) -> None:
    data, energy = build("data", "gaussians_8"), Quadratic(1 / 1.69, (2,))
    x = Gaussian(2, 0.0, 1.3, None, 0).sample(100, rng).x
    assert float(fisher_divergence(energy, x, Gaussian(2, 0.0, 1.3, None, 0), 1.0)) < 1e-25
    assert float(fisher_divergence(energy, x, data, 1.0)) > 0.1
    assert energy.a.grad is None and energy.a.requires_grad


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_gradient_is_the_slope_of_the_loss(temperature: float, rng: torch.Generator) -> None:
    energy, objective = build("energy", "mlp", {"width": 6}, event=(2,)), matching(temperature)
    batch = Batch(torch.randn(16, 2, generator=rng))
    assert_gradient_is_slope(lambda: objective(energy, batch, rng).loss, energy)


def test_too_many_dimensions_and_temperature_zero_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^max_dimension must be >= the 9 dimensions.*objective=sliced_score_matching"
    ):
        matching(d=9, limit=8)
    with pytest.raises(InputError, match=r"^sampler\.temperature must be > 0"):
        matching(0.0)
