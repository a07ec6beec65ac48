"""Multilayer perceptron energy: its formula, and errors that name the parameter."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.mlp import MLP
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def test_energy_is_the_network_plus_the_confinement(rng: torch.Generator) -> None:
    energy = MLP(5, 2, 0, 1.0, None, 0.7, 0, None, (2, 3), None)
    x = torch.randn(4, 2, 3, generator=rng)
    h = x.flatten(1)
    for layer in (energy.net[0], energy.net[2]):
        a = h @ layer.weight.T + layer.bias
        h = a * a.sigmoid()
    expected = (h @ energy.net[4].weight.T + energy.net[4].bias)[:, 0] + 0.35 * x.square().sum((1, 2))
    torch.testing.assert_close(energy(x), expected)


def test_a_noise_level_is_told_to_the_network_and_taken_from_the_energy_where_it_is_not(rng: torch.Generator) -> None:
    energy = build("energy", "mlp", {"noise_level": 0.3}, event=(2,))
    x, σ = torch.randn(4, 2, generator=rng), torch.tensor([0.3, 0.3, 1.0, 0.1])
    told, own = energy(x, condition=σ), energy(x)
    assert torch.equal(told[:2], own[:2]) and (told[2:] != own[2:]).all()
    _, grad = energy_and_grad(energy, x, condition=σ)
    assert torch.equal(grad[:2], energy_and_grad(energy, x)[1][:2])


def test_a_missing_event_is_named() -> None:
    with pytest.raises(InputError, match=r"^event must be given"):
        build("energy", "mlp")
