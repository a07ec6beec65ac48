"""Denoising score matching: its minimiser on Gaussians, its gradient, and whose noise it takes."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data.gaussian import Gaussian
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective.denoising_score_matching import DenoisingScoreMatching
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_on_gaussians_the_minimiser_is_the_noised_laws_curvature(temperature: float) -> None:
    std, sigma = 1.3, 0.5
    data = Gaussian(1, 0.0, std, None, 0)
    sampler = build("sampler", "sgld", {"temperature": temperature})
    objective = DenoisingScoreMatching(sigma, data, sampler)
    minimisers = []
    for seed in range(25):
        batch = data.sample(4000, torch.Generator().manual_seed(seed))
        losses = [
            float(objective(Quadratic([a], None), batch, torch.Generator().manual_seed(seed + 100)).loss.detach())
            for a in (0.0 + 1e-9, 0.5, 1.0)
        ]
        # The loss is a parabola in a, so three of its values give its lowest point.
        low, middle, high = losses
        minimisers.append(0.5 - 0.25 * (high - low) / (high - 2 * middle + low))
    found = torch.tensor(minimisers)
    error = float(found.std()) / 25**0.5
    assert error < 0.01
    assert abs(float(found.mean()) - temperature / (std**2 + sigma**2)) < 4 * error


def test_the_gradient_is_the_slope_of_the_loss(rng: torch.Generator) -> None:
    energy = build("energy", "mlp", {"width": 6}, event=(2,))
    data = build("data", "gaussians_8")
    objective = DenoisingScoreMatching(0.3, data, build("sampler", "sgld"))
    batch, h = data.sample(32, rng), 1e-5

    def loss() -> torch.Tensor:
        return objective(energy, batch, torch.Generator().manual_seed(1)).loss

    for parameter in energy.parameters():
        (grad,) = torch.autograd.grad(loss(), parameter, allow_unused=True)
        along = torch.randn(parameter.shape, generator=rng)
        slope = torch.zeros(())
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * h * along)
            slope += sign * loss().detach() / (2 * h)
            with torch.no_grad():
                parameter.sub_(sign * h * along)
        found = torch.zeros(()) if grad is None else (grad * along).sum()
        torch.testing.assert_close(found, slope, rtol=1e-6, atol=1e-7)


def test_without_sigma_the_noise_is_the_datas_own(rng: torch.Generator) -> None:
    energy, data = Quadratic([2.0, 2.0], None), build("data", "gaussians_8", {"noise": 0.25})
    batch = data.sample(16, rng)
    assert batch.clean is not None
    objective = DenoisingScoreMatching(None, data, build("sampler", "sgld", {"temperature": 2.0}))
    residual = batch.x - 0.25**2 * (2.0 * batch.x) / 2.0 - batch.clean
    expected = residual.square().sum(1).mean() / (2 * 0.25**2)
    torch.testing.assert_close(objective(energy, batch, rng).loss.detach(), expected)


def test_without_sigma_and_noise_sigma_is_asked_for(rng: torch.Generator) -> None:
    sampler = build("sampler", "sgld")
    with pytest.raises(InputError, match=r"^sigma must be given"):
        DenoisingScoreMatching(None, build("data", "gaussian"), sampler)
    objective = DenoisingScoreMatching(None, build("data", "gaussians_8"), sampler)
    with pytest.raises(InputError, match=r"^sigma must be given"):
        objective(Quadratic([1.0, 1.0], None), Batch(torch.zeros(4, 2)), rng)


def test_a_wrong_value_is_named() -> None:
    data = build("data", "gaussians_8")
    with pytest.raises(InputError, match=r"^sigma must be > 0"):
        DenoisingScoreMatching(-0.1, data, build("sampler", "sgld"))
    with pytest.raises(InputError, match=r"sampler\.temperature must be > 0"):
        DenoisingScoreMatching(0.1, data, build("sampler", "sgld", {"temperature": 0.0}))
