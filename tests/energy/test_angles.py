"""Networks on angles: E has the period in each coordinate, and no term that grows."""

import math

import pytest
import torch

from ebm_cli.data.angles import Angles
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
    ("name", "changes", "event"),
    [
        ("mlp", {}, (3,)),
        ("mlp", {"frequencies": 5, "base_components": 1}, (2, 2)),
        ("conv", {"depth": 1}, (1, 4, 4)),
        ("resnet", {}, (3, 4, 4)),
    ],
)
def test_a_network_has_the_period_and_tells_angles_apart(
    name: str, changes: dict, event: tuple[int, ...], rng: torch.Generator
) -> None:
    energy = build("energy", name, {"width": 8, **changes}, event=event, data=Angles(None, 0))
    x = torch.randn(6, *event, generator=rng)
    turns = 2 * math.pi * torch.randint(-3, 4, x.shape, generator=rng)
    assert torch.allclose(energy(x + turns), energy(x), atol=1e-9)
    assert float((energy(x) - energy(-x)).abs().detach().min()) > 1e-6
