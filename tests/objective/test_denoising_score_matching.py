"""Denoising score matching: its minimum on Gaussians, its gradient, and the noise that it uses."""

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data.gaussian import Gaussian
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective.denoising_score_matching import DenoisingScoreMatching
from tests.contract import build
from tests.objective.slope import assert_gradient_is_slope

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


LEVELS = [0.2, 0.5, 1.0]


@pytest.mark.parametrize("sigma", [0.3, LEVELS])
def test_the_gradient_is_the_slope_of_the_loss(sigma: float | list[float], rng: torch.Generator) -> None:
    energy = build("energy", "mlp", {"width": 6, "noise_level": 0.2}, event=(2,))
    data = build("data", "gaussians_8")
    objective = DenoisingScoreMatching(sigma, data, build("sampler", "sgld", {"temperature": 2.0}))
    batch = data.sample(32, rng)
    assert_gradient_is_slope(lambda: objective(energy, batch, torch.Generator().manual_seed(1)).loss, energy)


class Levelled(nn.Module):
    """E(x, σ) = ½aᵢ‖x‖², a curvature a level."""

    noise_level = LEVELS[0]

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(len(LEVELS)))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        σ = torch.full((len(x),), self.noise_level) if condition is None else condition
        level = (σ[:, None] - torch.tensor(LEVELS)).abs().argmin(1)
        return 0.5 * self.a[level] * x.square().sum(1)


def test_with_several_levels_each_comes_to_its_own_noised_law(rng: torch.Generator) -> None:
    std, n = 1.3, 60_000
    data, energy = Gaussian(1, 0.0, std, None, 0), Levelled()
    objective = DenoisingScoreMatching(LEVELS, data, build("sampler", "sgld"))
    loss = objective(energy, data.sample(n, rng), rng).loss
    (slope,) = torch.autograd.grad(loss, energy.a, create_graph=True)
    # Quadratic in every aᵢ and without terms that mix them: one Newton step is the minimiser.
    (bend,) = torch.autograd.grad(slope.sum(), energy.a)
    σ = torch.tensor(LEVELS)
    tau = std**2 + σ**2
    error = (std**2 / (σ**2 * tau**2 * (n / 3))).sqrt()
    assert ((-slope / bend - 1 / tau).abs() < 4 * error).all()


def test_several_levels_need_an_energy_that_is_told_them() -> None:
    data, sampler = build("data", "gaussians_8"), build("sampler", "sgld")
    objective = DenoisingScoreMatching(LEVELS, data, sampler)
    with pytest.raises(InputError, match=r"energy\.noise_level=0\.2"):
        objective.check_energy(build("energy", "mlp", event=(2,)), (2,))
    with pytest.raises(InputError, match=r"energy\.noise_level=3 must be in the range"):
        objective.check_energy(build("energy", "mlp", {"noise_level": 3.0}, event=(2,)), (2,))
    objective.check_energy(build("energy", "mlp", {"noise_level": 0.2}, event=(2,)), (2,))
    with pytest.raises(InputError, match=r"^sigma must be a number > 0, or a list"):
        DenoisingScoreMatching([], data, sampler)
    with pytest.raises(InputError, match=r"^sigma must be > 0, got -1"):
        DenoisingScoreMatching([0.1, -1], data, sampler)


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
