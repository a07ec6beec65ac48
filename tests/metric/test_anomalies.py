"""Anomalies among scored rows: the rate of false alarms, the columns that are unusual, and labels."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import FileRows
from ebm_cli.metric._anomalies import anomaly_labels, detection, threshold, threshold_estimate
from ebm_cli.metric._score import conformal
from ebm_cli.metric._unusual_columns import QUANTILES, coordinate_names, describe, energy_falls, unusual_columns
from tests.contract import build
from tests.metric.subject import normal, subject


def test_the_threshold_calls_the_rows_whose_p_value_is_at_most_the_rate_of_false_alarms() -> None:
    random = np.random.default_rng(0)
    for held, α in ((19, 0.05), (20, 0.05), (200, 0.05), (57, 0.3), (99, 0.01)):
        reference, e = random.integers(0, 30, held).astype(float), random.integers(0, 40, 400).astype(float)
        t = threshold(reference, α)
        assert t is not None
        np.testing.assert_array_equal(e > t, conformal(e, reference) <= α + 1e-12)
    assert threshold(np.zeros(18), 0.05) is None
    assert "needs at least 19 held-out rows, got 18" in threshold_estimate(np.zeros(18), 0.05).reason


def test_false_alarms_are_as_many_as_stated_on_average() -> None:
    random, repeats, held, α = np.random.default_rng(1), 3000, 59, 0.1
    rates = []
    for _ in range(repeats):
        t = threshold(random.standard_normal(held), α)
        rates.append(1 - norm.cdf(t))
    # E > t with probability ⌊α(m + 1)⌋/(m + 1) = α exactly.
    assert abs(np.mean(rates) - α) < 4 * np.std(rates) / repeats**0.5


def test_the_fall_of_a_quadratic_energy_is_its_closed_form() -> None:
    a = [1.0, 4.0, 0.5]
    energy = build("energy", "quadratic", {"a": a}, event=(3,))
    held_out, x = normal(500, 3, seed=0), torch.tensor([[5.0, 0.01, 0.0], [0.0, -3.0, 2.0]])
    found = energy_falls(subject(None, None, energy=energy), x, held_out)
    usual = held_out.quantile(torch.tensor(QUANTILES), dim=0).abs().amin(0)
    exact = (torch.tensor(a) / 2 * (x.square() - usual.square())).clamp(min=0)
    np.testing.assert_allclose(found, exact.numpy(), rtol=1e-4, atol=1e-5)


class Correlated(nn.Module):
    """E of a Gaussian with unit variances and correlation 0.99 of the first two of three coordinates."""

    event = (3,)

    def forward(self, x: Tensor) -> Tensor:
        covariance = torch.tensor([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 1.0]])
        return (x @ torch.linalg.inv(covariance) * x).sum(1) / 2


def test_values_that_are_common_but_do_not_fit_together_are_named_and_only_for_anomalies() -> None:
    held_out = normal(500, 3, seed=0)
    held_out[:, 1] = 0.99 * held_out[:, 0] + 0.14 * held_out[:, 1]
    x = torch.tensor([[1.0, -1.0, 0.1], [0.5, 0.5, 0.5], [0.0, 0.0, 30.0]])
    context = subject(None, None, energy=Correlated())
    e = Correlated()(x).double().numpy()
    texts, left = unusual_columns(context, x, e, np.array([True, False, True]), held_out)
    assert left == 0 and texts[1] == "" and texts[2].startswith("x[2] (4") and "," not in texts[2]
    assert {text.split(" ")[0] for text in texts[0].split(", ")} == {"x[0]", "x[1]"}


def test_unusual_sites_of_discrete_states_are_those_whose_other_value_lowers_the_energy() -> None:
    energy = build("energy", "ising", event=(4, 4)).requires_grad_(False)
    x = torch.ones(1, 4, 4)
    x[0, 1, 2] = -1
    falls = energy_falls(subject(None, None, energy=energy), x, torch.ones(5, 4, 4))
    assert falls.argmax() == 6 and falls[0, 6] == pytest.approx(float(energy(x) - energy(torch.ones(1, 4, 4))))
    assert (np.delete(falls[0], 6) == 0).all()


def test_coordinates_have_the_names_of_columns_or_places() -> None:
    assert coordinate_names((1, 2, 2), None, 4)[2] == "pixel (1, 0)"
    assert coordinate_names((3, 2, 2), None, 12)[5] == "pixel (0, 1) of channel 1"
    assert coordinate_names((2,), None, 2) == ["x[0]", "x[1]"]
    assert describe(np.array([0.0, 2.0, 40.0, 3.0, 30.0]), list("abcde")) == "c (40), e (30), d (3)"
    assert describe(np.zeros(3), list("abc")) == ""


def test_auroc_of_labels_is_that_of_theory_and_rates_are_fractions() -> None:
    random, d = np.random.default_rng(2), 1.0
    is_anomaly = np.arange(3000) < 1000
    e = random.standard_normal(3000) + d * is_anomaly
    rows = detection(e, is_anomaly, e > 2)
    assert abs(rows["auroc"].value - norm.cdf(d / 2**0.5)) < 4 * rows["auroc"].se
    assert rows["detection_rate"].value == (e[:1000] > 2).mean()
    assert rows["false_alarm_rate"].value == (e[1000:] > 2).mean()
    assert detection(-e, is_anomaly, e > 2)["auroc"].verdict == "caution"


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("odd", [0, 1, 0], "anomaly_label must be a column of the scored file, bad; got 'odd'"),
        ("bad", ["no", "1", "0"], "must be 0 or 1, or true or false, in every row; 'bad' has 'no'"),
        ("bad", [1, 1, 1], "needs rows with 0 and rows with 1; 'bad' has only 1"),
    ],
)
def test_labels_that_cannot_be_used_are_named(column: str, cells: list[object], words: str) -> None:
    rows = FileRows(torch.zeros(3, 2), np.ones(3, dtype=bool), pd.DataFrame({"bad": cells}), [])
    with pytest.raises(InputError, match=words):
        anomaly_labels(rows, column)
