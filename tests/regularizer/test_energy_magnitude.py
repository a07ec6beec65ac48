"""Energy magnitude: the mean square of both phases, and a level of the energy that does not drift."""

import pytest
import torch
from torch import Tensor, nn

from tests.contract import build
from tests.regularizer.outcome import outcome


class Level(nn.Module):
    """E = c, the same everywhere."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, x: Tensor) -> Tensor:
        return self.level + 0 * x.flatten(1).sum(1)


def test_both_phases_count_where_there_are_two(rng: torch.Generator) -> None:
    regularizer, energy = build("regularizer", "energy_magnitude", {"weight": 0.5}), Level(3.0)
    x = torch.randn(4, 2, generator=rng)
    assert float(regularizer(energy, outcome(energy, x), rng).detach()) == pytest.approx(0.5 * 9)
    assert float(regularizer(energy, outcome(energy, x, x), rng).detach()) == pytest.approx(0.5 * 18)


def test_its_gradient_pulls_the_level_to_zero(rng: torch.Generator) -> None:
    regularizer, energy = build("regularizer", "energy_magnitude", {"weight": 0.5}), Level(3.0)
    regularizer(energy, outcome(energy, torch.zeros(4, 2), torch.ones(4, 2)), rng).backward()
    assert float(energy.level.grad) == pytest.approx(0.5 * 2 * 3 * 2)
