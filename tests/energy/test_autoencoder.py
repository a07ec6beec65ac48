"""Autoencoder energy: the formula of its docstring from its own parts, and errors that name the parameter."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.autoencoder import Autoencoder
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")
SIGMA, CONFINEMENT = 0.3, 0.8


def silu(a: torch.Tensor) -> torch.Tensor:
    return a * a.sigmoid()


def test_a_vectors_energy_is_its_formula(rng: torch.Generator) -> None:
    energy = Autoencoder(6, 2, 0, 0.0, SIGMA, CONFINEMENT, 0, None, (3,), None)
    x = torch.randn(4, 3, generator=rng)
    h = silu(energy.features[3](silu(energy.features[0](x))))
    r, o = energy.reconstruction(h), energy.score(h)[:, 0]
    expected = (0.5 * (x - r).square().sum(1) - o) / SIGMA**2 + CONFINEMENT / 2 * x.square().sum(1)
    torch.testing.assert_close(energy(x), expected)


def test_an_images_energy_is_its_formula_with_local_features(rng: torch.Generator) -> None:
    energy = Autoencoder(6, 1, 2, 0.0, SIGMA, CONFINEMENT, 0, None, (1, 4, 4), None)
    x = torch.randn(5, 1, 4, 4, generator=rng)
    assert energy.near is not None
    same = silu(energy.near.same(x))
    h = silu(energy.features[1](silu(energy.near.down(same)).flatten(1)))
    r, o = energy.reconstruction(h).view_as(x) + energy.near.back(same), energy.score(h)[:, 0]
    expected = (0.5 * (x - r).square().sum((1, 2, 3)) - o) / SIGMA**2 + CONFINEMENT / 2 * x.square().sum((1, 2, 3))
    torch.testing.assert_close(energy(x), expected)


def test_dropout_acts_in_training_alone(rng: torch.Generator) -> None:
    energy = Autoencoder(64, 1, 0, 0.5, SIGMA, CONFINEMENT, 0, None, (2,), None)
    x = torch.randn(4, 2, generator=rng)
    assert not torch.equal(energy(x), energy(x))
    energy.eval()
    assert torch.equal(energy(x), energy(x))


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 0), ("depth", 0), ("channels", -1), ("dropout", 1.0), ("sigma", 0.0), ("confinement", -0.1)],
)
def test_a_wrong_value_is_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{name} must be "):
        build("energy", "autoencoder", {name: value}, event=(1, 8, 8))


@pytest.mark.parametrize("event", [(2,), (1, 7, 8)])
def test_convolutions_on_other_states_are_blamed_on_channels(event: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^channels must be 0 unless"):
        build("energy", "autoencoder", {"channels": 4}, event=event)
