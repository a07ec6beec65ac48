"""Energy discrepancy against its limit of many samples: on all states of small models, and for a Gaussian."""

import math

import pytest
import torch
from torch import nn

from ebm_cli.data import Batch
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective.energy_discrepancy import EnergyDiscrepancy
from tests.contract import build
from tests.objective.slope import assert_gradient_is_slope
from tests.sampler.discrete import MODELS, probabilities, sites_and_states

pytestmark = pytest.mark.usefixtures("float64")


def discrepancy(samples: int, stabilizer: float = 0.0, temperature: float = 1.0) -> EnergyDiscrepancy:
    sampler = build("sampler", "gibbs", {"temperature": temperature})
    changes = {"scale": 0.7, "change_probability": 0.2, "samples": samples, "stabilizer": stabilizer}
    return build("objective", "energy_discrepancy", changes, sampler=sampler)


def limit(energy: nn.Module, temperature: float) -> float:
    """The mean of E(x)/T − U(y)/T over x from the model and y from the perturbation, over all pairs of states."""
    sites, x = sites_and_states(energy)
    different = (sites.numbers(x)[:, None] != sites.numbers(x)[None]).sum(2)
    q = (0.2 / (sites.values - 1)) ** different * 0.8 ** (sites.count - different)
    with torch.no_grad():
        u = energy(x) / temperature
    potential = -(q.log() - u[None]).logsumexp(1)
    return float(probabilities(energy, temperature) @ (u - q @ potential))


@pytest.mark.parametrize("model", ["ising with a field", "potts with a field"])
def test_many_samples_give_the_difference_of_potentials(model: str, rng: torch.Generator) -> None:
    energy, T, M = MODELS[model]().requires_grad_(False), 1.4, 256
    _, x = sites_and_states(energy)
    drawn = x[torch.multinomial(probabilities(energy, T), 2000, replacement=True, generator=rng)]
    losses = torch.stack([discrepancy(M, 0.0, T)(energy, Batch(part), rng).loss for part in drawn.split(20)])
    # The log of a mean of M values is lower by about their relative variance over 2M.
    error = float(losses.std()) / len(losses) ** 0.5
    assert abs(float(losses.mean()) - limit(energy, T)) < 4 * error + 2 / M


def test_of_all_gaussians_that_of_the_data_has_the_smallest_loss(rng: torch.Generator) -> None:
    """For E = ax²/2, T = 1 and s = scale: U(y) = ½log(1 + as²) + ay²/2(1 + as²), with a mean square of σ² + s²."""
    x, s2 = 1.5 * torch.randn(200_000, 1, generator=rng), 0.49

    def exact(a: float) -> float:
        return 0.5 * (a * 2.25 - math.log1p(a * s2) - a * (2.25 + s2) / (1 + a * s2))

    losses = {}
    for a in (0.2, 1 / 2.25, 1.0):
        parts = torch.stack(
            [discrepancy(64)(Quadratic(a, (1,)).requires_grad_(False), Batch(part), rng).loss for part in x.split(2000)]
        )
        losses[a] = float(parts.mean())
        assert abs(losses[a] - exact(a)) < 4 * float(parts.std()) / len(parts) ** 0.5 + 1 / 64
    assert min(losses, key=lambda a: losses[a]) == 1 / 2.25


@pytest.mark.parametrize("stabilizer", [0.0, 1.0])
def test_the_gradient_is_the_slope_of_the_loss(stabilizer: float) -> None:
    energy = MODELS["rbm"]()
    batch = Batch(sites_and_states(energy)[1][::3])
    assert_gradient_is_slope(
        lambda: discrepancy(4, stabilizer)(energy, batch, torch.Generator().manual_seed(0)).loss, energy
    )


def test_a_stabilizer_bounds_the_loss_from_below(rng: torch.Generator) -> None:
    energy = Quadratic(1e6, (1,)).requires_grad_(False)
    assert float(discrepancy(8, 1.0)(energy, Batch(torch.zeros(50, 1)), rng).loss) >= -math.log(8) - 1e-9
