"""Parts of network energies: the base is the density of the data's Gaussian or mixture, and norms are bounded."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ebm_cli.check import InputError
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy import energy_and_grad, evaluation_mode, frozen
from ebm_cli.energy._network import Tail, apply_spectral_norm
from tests.contract import build, config, log_integral, options

NETWORKS = pytest.mark.parametrize(
    "name",
    [n for n in options("energy") if "spectral_norm" in config("energy", n)],
)


@pytest.mark.parametrize("base", [1, 8])
def test_the_base_is_a_normalised_density(base: int, float64: None) -> None:
    tail = Tail(0.0, base, (2,), build("data", "gaussians_8"))
    assert log_integral(lambda x: -tail(x), 2, 12.0, 481) == pytest.approx(0, abs=1e-6)


def test_a_base_of_one_is_the_maximum_likelihood_gaussian(float64: None) -> None:
    data = build("data", "two_moons")
    rows = noisy_split(data, "train", 0).x
    covariance = torch.cov(rows.T, correction=0) + 1e-3 * rows.var(0).mean() * torch.eye(2)
    law = torch.distributions.MultivariateNormal(rows.mean(0), covariance)
    x = rows[:50]
    torch.testing.assert_close(Tail(0.0, 1, (2,), data)(x), -law.log_prob(x), rtol=1e-4, atol=1e-4)


def test_a_base_of_eight_finds_eight_modes(float64: None) -> None:
    data = build("data", "gaussians_8")
    x = data.split("held_out").x
    assert float((data.log_prob(x) + Tail(0.0, 8, (2,), data)(x)).mean()) < 0.05


def test_confinement_comes_on_top_of_the_base(rng: torch.Generator) -> None:
    data, x = build("data", "gaussians_8"), torch.randn(5, 2, generator=rng)
    torch.testing.assert_close(Tail(0.8, 1, (2,), data)(x), Tail(0.0, 1, (2,), data)(x) + 0.4 * x.square().sum(1))


def test_a_base_without_data_is_refused() -> None:
    with pytest.raises(InputError, match=r"^base_components=2 is fitted to data: choose data, or base_components=0"):
        Tail(0.0, 2, (2,), None)


@NETWORKS
def test_a_base_and_norms_work_on_every_network(name: str, rng: torch.Generator) -> None:
    data = build("data", "digits")
    changes = {"base_components": 2, "spectral_norm": 2.0, "width": 8}
    energy = build("energy", name, changes, event=(1, 8, 8), data=data)
    e, grad = energy_and_grad(energy, data.sample(4, rng).x)
    assert e.shape == (4,) and e.isfinite().all() and grad.isfinite().all()
    again = build("energy", name, changes, event=(1, 8, 8), data=data)
    again.load_state_dict(energy.state_dict())
    x = data.sample(4, rng).x
    assert torch.equal(again.eval()(x), energy.eval()(x))


@pytest.mark.parametrize("norm", [0.5, 3.0])
def test_slopes_of_a_normalised_perceptron_stay_under_their_bound(norm: float, rng: torch.Generator) -> None:
    depth = 2
    changes = {"width": 32, "depth": depth, "spectral_norm": norm, "confinement": 0.0}
    energy = build("energy", "mlp", changes, event=(3,))
    with torch.no_grad():
        for p in energy.parameters():
            p.mul_(20.0)
    for _ in range(50):
        energy(torch.randn(4, 3, generator=rng))
    _, grad = energy_and_grad(energy.eval(), 5 * torch.randn(2000, 3, generator=rng))
    steepest = float(grad.norm(dim=1).max())
    # SiLU's slope is at most 1.0998.
    assert 0.02 * norm < steepest <= norm * 1.0998**depth * 1.001


def test_layers_of_norm_one_are_left_under_the_factor_alone(rng: torch.Generator) -> None:
    layer = nn.Sequential(nn.Linear(5, 5, bias=False))
    with torch.no_grad():
        layer[0].weight.copy_(torch.diag(torch.tensor([3.0, 1.0, 0.5, 0.2, 0.1])))
    assert apply_spectral_norm(layer, 4.0) == 4.0
    for _ in range(30):
        layer(torch.randn(2, 5, generator=rng))
    assert float(torch.linalg.matrix_norm(layer[0].weight.detach(), 2)) == pytest.approx(1.0, abs=1e-4)


class Counting(nn.Module):
    """A parametrisation that counts how often it is computed."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Counting.calls += 1
        return x


def test_normalised_weights_are_computed_once_while_an_energy_is_frozen() -> None:
    energy = build("energy", "mlp", {"width": 4}, event=(2,))
    parametrize.register_parametrization(energy.net[0], "weight", Counting())
    Counting.calls = 0
    with frozen(energy):
        for _ in range(7):
            energy_and_grad(energy, torch.zeros(3, 2))
    assert Counting.calls == 1


def test_evaluating_lets_normalised_weights_go_on_learning_their_norm() -> None:
    energy = build("energy", "autoencoder", {"width": 16, "dropout": 0.5, "spectral_norm": 1.0}, event=(3,)).train()
    x = torch.randn(4, 3)
    buffers = {name: buffer.clone() for name, buffer in energy.named_buffers() if name.endswith("_u")}
    with evaluation_mode(energy):
        first = energy(x)
    assert any(not torch.equal(energy.get_buffer(name), before) for name, before in buffers.items())
    assert all(module.training for module in energy.modules())
    with pytest.raises(ZeroDivisionError), evaluation_mode(energy):
        raise ZeroDivisionError
    assert all(module.training for module in energy.modules()) and first.requires_grad


def test_waves_are_bounded_and_part_of_the_weights(rng: torch.Generator) -> None:
    energy = build("energy", "mlp", {"width": 4, "frequencies": 3, "bandwidth": 2.0}, event=(2,))
    x = torch.randn(9, 2, generator=rng)
    waves = energy.waves(x)
    assert waves.shape == (9, 2 + 6) and torch.equal(waves[:, :2], x)
    torch.testing.assert_close(waves[:, 2:5].square() + waves[:, 5:].square(), torch.ones(9, 3))
    other = build("energy", "mlp", {"width": 4, "frequencies": 3, "bandwidth": 2.0}, event=(2,))
    other.load_state_dict(energy.state_dict())
    assert torch.equal(other(x), energy(x)) and math.isclose(other.scale, 1.0)
