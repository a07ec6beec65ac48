"""Effective temperature: T for exact draws, T/(1 − aη/2) for SGLD, and refusal if ΔE is 0."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.effective_temperature import cautions
from ebm_cli.estimate import Estimate
from tests.contract import build

CHAINS, DRAWS = 64, 20


class Tilted(nn.Module):
    """E = ½ xᵀAx, A no diagonal matrix, so that one random sign vector does not give tr A exactly."""

    def __init__(self, size: int) -> None:
        super().__init__()
        root = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("A", torch.eye(size) + root @ root.T / size)

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * ((x @ self.A) * x).sum(1)


class PiecewiseLinear(nn.Module):
    """A network whose second derivatives are 0 wherever they exist."""

    def __init__(self, *event: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(event)), 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(1)


def normal(*event: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((CHAINS, DRAWS, *event))


def effective_temperature(x: np.ndarray, energy: nn.Module | None, temperature: float | None) -> Estimate:
    diagnostic = build("diagnostic", "effective_temperature")
    return diagnostic(ChainContext(Chains(x=x), energy, temperature)).estimates["effective_temperature"]


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("event", [(2,), (1, 5, 5)])
def test_exact_draws_speak_of_their_own_temperature(temperature: float, event: tuple[int, ...], float64: None) -> None:
    energy = build("energy", "quadratic", {"a": 4.0}, event=event)
    found = effective_temperature(normal(*event) * np.sqrt(temperature / 4.0), energy, temperature)
    assert found.verdict == "ok"
    assert abs(found.value - temperature) < 4 * found.se


def test_sgld_s_inflated_variance_gives_its_inflated_temperature(float64: None) -> None:
    a, step_size, temperature = 4.0, 0.25, 1.0
    inflated = temperature / (1 - a * step_size / 2)
    energy = build("energy", "quadratic", {"a": a}, event=(2,))
    found = effective_temperature(normal(2) * np.sqrt(inflated / a), energy, temperature)
    assert abs(found.value - inflated) < 4 * found.se
    assert found.verdict == "caution" and "step_size" in found.reason


def test_random_signs_give_the_temperature_in_many_dimensions(float64: None) -> None:
    energy, temperature = Tilted(24), 2.0
    root = np.linalg.cholesky(np.linalg.inv(energy.A.numpy()))
    found = effective_temperature(np.sqrt(temperature) * normal(24) @ root.T, energy, temperature)
    assert found.verdict == "ok"
    assert abs(found.value - temperature) < 4 * found.se


@pytest.mark.parametrize("event", [(2,), (1, 5, 5)])
def test_a_piecewise_linear_network_has_no_effective_temperature(event: tuple[int, ...]) -> None:
    found = effective_temperature(normal(*event), PiecewiseLinear(*event), 1.0)
    assert found.verdict == "refused" and "piecewise linear" in found.reason


def test_a_bare_file_has_no_effective_temperature() -> None:
    found = effective_temperature(normal(2), None, None)
    assert found.verdict == "refused" and "run=RUN" in found.reason


def test_asking_leaves_the_energy_trainable_and_without_gradients() -> None:
    energy = build("energy", "quadratic", event=(2,))
    effective_temperature(normal(2), energy, 1.0)
    assert energy.a.requires_grad and energy.a.grad is None


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(
    ("value", "se", "fine"),
    [
        (1.92, 0.24, False),
        (1.28, 0.08, False),
        (1.54, 0.29, False),
        (1.18, 0.045, False),
        (1.129, 0.007, False),
        (1.06, 0.003, False),
        (0.9, 0.01, False),
        (0.8, 0.2, False),
        (1.0, 0.2, False),
        (1.00, 0.02, True),
        (1.03, 0.001, True),
        (0.93, 0.02, True),
    ],
)
def test_a_temperature_is_ok_only_if_it_is_known_and_near(
    value: float, se: float, fine: bool, temperature: float
) -> None:
    chains = Chains(x=np.zeros((4, 10, 1)))
    reasons = cautions(value * temperature, se * temperature, ChainContext(chains, temperature=temperature))
    assert bool(reasons) != fine
    if reasons:
        assert f"{abs(value - 1):.1%}" in reasons[0] and f"an error of {se:.1%}" in reasons[0]
