"""The arithmetic of schedules: effective sample sizes, rises of β, resampling and equal spacing."""

import numpy as np
import pytest
import torch

from ebm_cli.path._schedule import (
    MIN_ESS_FRACTION,
    effective_sample_size,
    equally_spaced,
    ess_fraction,
    largest_rise,
    resample,
)


def test_effective_sample_size_is_n_for_equal_weights_and_one_for_one_weight() -> None:
    log_w = torch.tensor([[0.0, 0.0, 0.0], [0.0, -torch.inf, -800.0], [-torch.inf, -torch.inf, -torch.inf]])
    torch.testing.assert_close(effective_sample_size(log_w), torch.tensor([3.0, 1.0, 0.0]))


def test_largest_rise_keeps_nine_tenths_of_the_population() -> None:
    delta_u = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    rise = largest_rise(delta_u, 1.0)
    assert ess_fraction(rise * delta_u) >= MIN_ESS_FRACTION > ess_fraction(1.02 * rise * delta_u)
    assert largest_rise(0.01 * delta_u, 1.0) == 1.0
    assert largest_rise(torch.full((10,), -torch.inf), 1.0) == 0.0


def test_resample_is_unbiased_and_as_even_as_integers_allow() -> None:
    log_w = torch.randn(1, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = 8 * log_w.softmax(1)[0]
    rng, repeats = torch.Generator().manual_seed(2), 2000
    counts = torch.stack([torch.bincount(resample(log_w, rng)[0], minlength=8) for _ in range(repeats)]).double()
    assert (counts.sum(1) == 8).all() and ((counts - expected).abs() < 1).all()
    error = counts.std(0).clamp(min=1e-3) / repeats**0.5
    assert ((counts.mean(0) - expected).abs() < 4 * error).all()


def test_resample_stays_within_groups() -> None:
    log_w = torch.tensor([[0.0, -torch.inf, -torch.inf], [-torch.inf, -torch.inf, 0.0]])
    assert resample(log_w, torch.Generator().manual_seed(0)).tolist() == [[0, 0, 0], [2, 2, 2]]


def test_equally_spaced_values_are_equal_lengths_apart() -> None:
    values, length = np.array([0.0, 1.0, 5.0]), np.array([0.0, 2.0, 4.0])
    assert equally_spaced(values, length, 5).tolist() == pytest.approx([0.0, 0.5, 1.0, 3.0, 5.0])
