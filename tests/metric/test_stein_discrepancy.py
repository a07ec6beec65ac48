"""Kernel Stein discrepancy: its kernel by autograd, its expectation by quadrature, and a p-value that is uniform."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.estimate import Estimate
from ebm_cli.metric.stein_discrepancy import median_distance, stein_kernel, u_statistic, wild_bootstrap
from tests.contract import build
from tests.metric.subject import normal, subject

SEEDS, ROWS = 300, 60


def found(shift: float, n: int = 400, **changes: object) -> dict[str, Estimate]:
    """The metric for N(shift, 1) rows in the plane under a standard normal model."""
    data = build("data", "gaussian", {"n": 100})
    held_out = changes.pop("held_out", Batch(normal(n, 2, seed=5) + shift))
    return build("metric", "stein_discrepancy")(subject(data, None, held_out=held_out, **changes)).estimates


def over_seeds(shift: float, dim: int = 1, h: float | None = None) -> tuple[np.ndarray, ...]:
    """ksd, its stated errors and p-values of N(shift, 1) rows under the standard normal, with score −x."""
    values = []
    for seed in range(SEEDS):
        x = np.random.default_rng(seed).standard_normal((ROWS, dim)) + shift
        u = stein_kernel(x, -x, median_distance(x) if h is None else h)
        value, se = u_statistic(u)
        values.append((value, se, (1 + (wild_bootstrap(u, 199) >= value).sum()) / 200))
    return tuple(np.array(values).T)


def test_kernel_is_the_stein_operator_on_both_sides_by_autograd() -> None:
    x, s = normal(2, 3, seed=0).double(), normal(2, 3, seed=1).double()
    a, b = (row.clone().requires_grad_(True) for row in x)
    k = (1 + (a - b).square().sum() / 1.7**2) ** -0.5
    (by_a,) = torch.autograd.grad(k, a, create_graph=True)
    (by_b,) = torch.autograd.grad(k, b, create_graph=True)
    mixed = sum(torch.autograd.grad(by_a[i], b, retain_graph=True)[0][i] for i in range(3))
    exact = s[0] @ s[1] * k + s[0] @ by_b + s[1] @ by_a + mixed
    u = stein_kernel(x.numpy(), s.numpy(), 1.7)
    assert u[0, 1] == pytest.approx(float(exact.detach()), rel=1e-12) and u[1, 0] == pytest.approx(u[0, 1], rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_mean_is_the_squared_discrepancy_by_quadrature(shift: float) -> None:
    # The scores of N(0, 1) and N(δ, 1) differ by δ, so the square is δ² E k, of x − y ~ N(0, 2).
    exact = shift**2 * quad(lambda r: np.exp(-(r**2) / 4) / np.sqrt(4 * np.pi * (1 + r**2 / 1.44)), -np.inf, np.inf)[0]
    values, _, _ = over_seeds(shift, h=1.2)
    assert abs(values.mean() - exact) < 4 * values.std(ddof=1) / np.sqrt(SEEDS)


@pytest.mark.parametrize("dim", [1, 10])
def test_p_values_are_uniform_for_rows_of_the_model(dim: int) -> None:
    _, _, p = over_seeds(0.0, dim)
    assert kstest(p, "uniform").pvalue > 1e-3


def test_power_grows_with_the_shift() -> None:
    powers = [(over_seeds(shift)[2] <= 0.05).mean() for shift in (0.0, 0.2, 0.4, 0.8)]
    assert powers == sorted(powers) and powers[0] < 0.1 and powers[-1] > 0.95


def test_stated_error_is_the_standard_deviation_over_seeds_if_rows_differ_from_the_model() -> None:
    values, errors, _ = over_seeds(1.0)
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(ddof=1), rel=4 / np.sqrt(2 * SEEDS))


def test_shifted_rows_are_rejected_and_rows_of_the_model_are_not() -> None:
    same, shifted = found(0.0), found(0.5)
    assert same["ksd_p_value"].value > 0.05 and "no difference" in same["ksd_p_value"].meaning
    assert shifted["ksd_p_value"].value < 0.01 and "data differ from the model" in shifted["ksd"].meaning
    assert shifted["ksd"].value > 4 * shifted["ksd"].se


def test_temperature_scales_the_score() -> None:
    rows = Batch(2 * normal(400, 2, seed=6))
    assert found(0.0, held_out=rows, temperature=4.0)["ksd_p_value"].value > 0.05
    assert found(0.0, held_out=rows, temperature=1.0)["ksd_p_value"].value < 0.01
    with pytest.raises(InputError, match="temperature > 0"):
        found(0.0, temperature=0.0)


def test_what_cannot_be_tested_is_refused_with_the_reason() -> None:
    few, broken = found(0.0, n=19), normal(50, 2, seed=7)
    broken[3] = float("nan")
    assert {row.reason for row in few.values()} == {"needs 20 held-out rows, got 19. Hold out more rows"}
    assert all("not finite at 1 of 50" in row.reason for row in found(0.0, held_out=Batch(broken)).values())
    with pytest.raises(InputError, match="needs data"):
        build("metric", "stein_discrepancy")(subject(None, None))
