"""Sliced score matching: its expectation is that of score matching, with less variance if variance-reduced."""

import pytest
import torch

from ebm_cli.data import Batch
from ebm_cli.objective.sliced_score_matching import SlicedScoreMatching
from tests.contract import build
from tests.objective.slope import assert_gradient_is_slope
from tests.objective.test_score_matching import matching

pytestmark = pytest.mark.usefixtures("float64")


def sliced(variance_reduced: bool, projections: int = 1, temperature: float = 1.0) -> SlicedScoreMatching:
    sampler = build("sampler", "sgld", {"temperature": temperature})
    changes = {"variance_reduced": variance_reduced, "projections": projections}
    return build("objective", "sliced_score_matching", changes, data=build("data", "gaussians_8"), sampler=sampler)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_mean_over_directions_is_score_matchings_loss_and_reduced_the_variance_is_smaller(
    temperature: float, rng: torch.Generator
) -> None:
    energy = build("energy", "mlp", {"width": 8}, event=(2,))
    batch = Batch(torch.randn(64, 2, generator=rng))
    expected = float(matching(temperature)(energy, batch, rng).loss.detach())
    spreads = []
    for reduced in (False, True):
        losses = torch.stack([sliced(reduced, 1, temperature)(energy, batch, rng).loss.detach() for _ in range(300)])
        spreads.append(float(losses.std()))
        assert abs(float(losses.mean()) - expected) < 4 * spreads[-1] / 300**0.5
    assert spreads[1] < spreads[0]


@pytest.mark.parametrize("reduced", [False, True])
def test_the_gradient_is_the_slope_of_the_loss(reduced: bool, rng: torch.Generator) -> None:
    energy, objective = build("energy", "mlp", {"width": 6}, event=(2,)), sliced(reduced, 3, 2.0)
    batch = Batch(torch.randn(16, 2, generator=rng))
    assert_gradient_is_slope(lambda: objective(energy, batch, torch.Generator().manual_seed(1)).loss, energy)


def test_the_fisher_divergence_is_told(rng: torch.Generator) -> None:
    energy = build("energy", "mlp", {"width": 6}, event=(2,))
    outcome = sliced(True)(energy, build("data", "gaussians_8").sample(64, rng), rng)
    assert float(outcome.measures["fisher_divergence"]()) > 0
