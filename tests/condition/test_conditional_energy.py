"""Conditional energies, and conditionals of mixtures in closed form: each is compared with the other."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.condition import Condition
from ebm_cli.condition.blur import Blur
from ebm_cli.condition.bottom import Bottom
from ebm_cli.condition.downsample import Downsample
from ebm_cli.condition.left import Left
from ebm_cli.condition.missing import Missing
from ebm_cli.condition.noise import Noise
from ebm_cli.condition.right import Right
from ebm_cli.condition.rows import Rows
from ebm_cli.density.conditional import given_part
from ebm_cli.density.normals import NormalMixture
from ebm_cli.sampling.priors import conditional

EVENT = (1, 4, 4)


def some_mixture(d: int) -> NormalMixture:
    """Return three Gaussians with dense covariances."""
    rng = torch.Generator().manual_seed(0)
    roots = torch.randn(3, d, d, generator=rng, dtype=torch.float64) / d**0.5
    roots = torch.linalg.cholesky(roots @ roots.mT + 0.3 * torch.eye(d, dtype=torch.float64))
    means = torch.randn(3, d, generator=rng, dtype=torch.float64)
    return NormalMixture("", torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log(), means, roots)


class MixtureEnergy(nn.Module):
    """E(x) = −T log p(x) of a mixture."""

    def __init__(self, density: NormalMixture, temperature: float) -> None:
        super().__init__()
        self.density, self.temperature = density, temperature

    def forward(self, x: Tensor) -> Tensor:
        return -self.temperature * self.density.log_prob(x.flatten(1))


@pytest.mark.parametrize(
    "condition",
    [Left(0.5), Bottom(0.25), Missing(0.4), Noise(0.7), Blur(0.8, 0.3), Downsample(2, 0.2)],
    ids=lambda c: type(c).__name__,
)
def test_conditional_energy_is_that_of_the_closed_form(condition: Condition) -> None:
    # −E(z | y)/T and log p(z | y) differ by log p(y), whatever z is.
    T, rng = 1.7, torch.Generator().manual_seed(1)
    density = some_mixture(16)
    truth = density.draw(1, rng)[0].view(EVENT)
    seen = condition.observe("row", truth, rng)
    energy = condition.restrict(MixtureEnergy(density, T), T, seen, EVENT)
    exact = conditional(density, condition, seen, EVENT)
    assert exact is not None
    z = exact.draw(50, rng).view(50, *energy.event)  # type: ignore[misc]
    gap = -energy(z) / T - exact.log_prob(z.flatten(1))
    assert float(gap.std()) < 1e-6
    assert energy.complete(z).shape == (50, *EVENT)  # type: ignore[operator]


def test_the_gap_is_the_log_density_of_what_is_known() -> None:
    density, rng = some_mixture(3), torch.Generator().manual_seed(1)
    known, y = torch.tensor([True, False, True]), density.draw(1, rng)[0]
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    whole = torch.stack([y[0].expand_as(z), z, y[2].expand_as(z)], 1)
    log_known = torch.logsumexp(density.log_prob(whole), 0) + math.log(float(z[1] - z[0]))
    given = given_part(density, known, y)
    assert torch.allclose(given.log_prob(z[:, None]), density.log_prob(whole) - log_known, atol=1e-6)


def test_an_observation_of_a_known_side_keeps_it() -> None:
    x = torch.arange(16.0).view(EVENT)
    condition = Right(0.5)
    seen = condition.observe("row", x, torch.Generator())
    energy = condition.restrict(MixtureEnergy(some_mixture(16), 1.0), 1.0, seen, EVENT)
    whole = energy.complete(torch.zeros(2, 8))  # type: ignore[operator]
    assert torch.equal(whole[:, :, :, 2:], x[:, :, 2:].expand(2, 1, 4, 2))
    assert not whole[:, :, :, :2].any()


def test_wrong_conditions_are_named() -> None:
    x, rng = torch.zeros(EVENT), torch.Generator()
    cases = {
        "needs pictures": lambda: Left(0.5).observe("row", torch.zeros(5), rng),
        "fraction must be in": lambda: Left(1.0),
        "factor must divide": lambda: Downsample(3, 0.1).observe("row", x, rng),
        "sigma must be > 0": lambda: Noise(0.0),
        "there is nothing to draw": lambda: Rows("").restrict(
            nn.Identity(), 1.0, Rows("").observe("row", x, rng), EVENT
        ),
    }
    for words, action in cases.items():
        with pytest.raises(InputError, match=words):
            action()
