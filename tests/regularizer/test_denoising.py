"""Denoising as a regularizer: its weights with and without chains."""

import dataclasses

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import build
from tests.regularizer.outcome import outcome

NOISE = 0.5


def loss(changes: dict[str, float], x_model: torch.Tensor | None) -> float:
    """The term on 20,000 noisy samples at 0, for E = x² and T = 1."""
    rng = torch.Generator().manual_seed(0)
    data = build("data", "digits", {"noise": NOISE})
    term = build("regularizer", "denoising", changes, data=data, sampler=build("sampler", "sgld"))
    clean = torch.zeros(20_000, 1)
    x = NOISE * torch.randn(clean.shape, generator=rng)
    made = dataclasses.replace(outcome(Quadratic(2.0, (1,)), x, x_model), clean=clean)
    return float(term(Quadratic(2.0, (1,)), made, rng).detach())


def test_its_weight_with_chains_holds_only_where_chains_train() -> None:
    # ‖x̃ − σ²∇E(x̃) − x‖² = (1 − 2σ²)² x̃², of mean (1 − 2σ²)² σ².
    exact = (1 - 2 * NOISE**2) ** 2 / 2
    error = 4 * exact * (2 / 20_000) ** 0.5
    chains = torch.zeros(5, 1)
    assert abs(loss({"weight": 1.0}, None) - exact) < error
    assert loss({"weight": 1.0}, chains) == loss({"weight": 1.0}, None)
    both = {"weight": 1.0, "weight_with_chains": 0.25}
    assert loss(both, None) == loss({"weight": 1.0}, None)
    assert loss(both, chains) == pytest.approx(0.25 * loss({"weight": 1.0}, None))


def test_a_weight_with_chains_must_be_positive() -> None:
    with pytest.raises(InputError, match="weight_with_chains must be > 0, got 0"):
        loss({"weight_with_chains": 0.0}, None)
