"""Baselines fitted to draws of a known mixture: their divergence from it, by its closed form and by the grid."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.density import Baseline
from ebm_cli.density.normals import NormalMixture
from tests.contract import build
from tests.density.test_baselines import Table, fit, grid

pytestmark = pytest.mark.usefixtures("float64")

MEANS, STDS, WEIGHTS = [[-2.0, 0.0], [2.0, 0.5], [0.0, 3.0]], [0.6, 0.8, 0.5], [0.3, 0.5, 0.2]
# Of the mixture: two weights, and three means and covariances.
PARAMETERS = 17
ROWS, HELD_OUT = 2000, 10_000
NAMES = ["gaussian", "mixture", "kernel", "flow"]


def draws(n: int, seed: int) -> Tensor:
    return truth().draw(n, 1.0, torch.Generator().manual_seed(seed)).detach()


@cache
def truth() -> torch.nn.Module:
    return build("energy", "gaussian_mixture", {"means": MEANS, "stds": STDS, "weights": WEIGHTS})


@cache
def fitted_to(name: str, rows: int = ROWS) -> Baseline:
    if name == "flow":
        pytest.importorskip("zuko")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ebm_cli.density.flow.MAX_STEPS", 150)
            patch.setattr("ebm_cli.density.flow.LEARNING_RATES", (1e-3,))
            return fit(Table(draws(rows, 0), draws(10, 1), 0.0), name)
    return fit(Table(draws(rows, 0), draws(10, 1), 0.0), name)


@cache
def log_ratio(baseline: Baseline) -> np.ndarray:
    """log p − log q of fresh draws of p: the mean is KL(p‖q)."""
    x = draws(HELD_OUT, 2)
    return (-truth()(x).detach() - baseline.log_prob(x)).numpy()


def error(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) / len(values) ** 0.5


@cache
def on_grid() -> tuple[Tensor, Tensor, float]:
    """Points, log p, and the area of each: p beyond is nothing."""
    points, area = grid(-7, 8, 201)
    return points, -truth()(points).detach(), area


def divergence(log_q: Tensor) -> float:
    """KL(p‖q) by the grid."""
    _, log_p, area = on_grid()
    return float((log_p.exp() * (log_p - log_q)).sum()) * area


@pytest.mark.parametrize("name", NAMES)
def test_held_out_score_equals_the_divergence_from_the_truth(name: str) -> None:
    found = log_ratio(fitted_to(name))
    exact = divergence(fitted_to(name).log_prob(on_grid()[0]))
    assert exact > 0 and abs(found.mean() - exact) < 4 * error(found)


def test_divergence_of_a_gaussian_follows_from_two_moments() -> None:
    """∫ p log q = −½ log det 2πC − ½ tr C⁻¹(S + (μ − m)(μ − m)ᵀ), S and μ of the true mixture."""
    density = fitted_to("gaussian").density
    assert isinstance(density, NormalMixture)
    w, m, s = (torch.tensor(v) for v in (WEIGHTS, MEANS, STDS))
    μ = w @ m
    S = (w[:, None, None] * (s[:, None, None].square() * torch.eye(2) + (m - μ)[:, :, None] * (m - μ)[:, None])).sum(0)
    C, off = density.roots[0] @ density.roots[0].T, μ - density.means[0]
    cross = 0.5 * torch.logdet(2 * math.pi * C) + 0.5 * torch.trace(torch.linalg.solve(C, S + torch.outer(off, off)))
    _, log_p, area = on_grid()
    entropy = -float((log_p.exp() * log_p).sum()) * area
    found = log_ratio(fitted_to("gaussian"))
    assert abs(found.mean() - (float(cross) - entropy)) < 4 * error(found)


def test_divergence_of_a_mixture_is_that_of_its_parameters() -> None:
    """2n·KL is χ² of as many degrees as it has parameters (Wilks, 1938)."""
    found, n = log_ratio(fitted_to("mixture")), ROWS
    assert fitted_to("mixture").words == "Gaussian mixture, 3 components"
    assert -4 * error(found) < found.mean() < (PARAMETERS + 4 * (2 * PARAMETERS) ** 0.5) / (2 * n) + 4 * error(found)


def test_divergence_of_a_kernel_density_falls_with_rows() -> None:
    few, many = log_ratio(fitted_to("kernel", 250)), log_ratio(fitted_to("kernel"))
    assert (few - many).mean() > 4 * error(few - many)


@pytest.mark.parametrize("name", ["mixture", "kernel", "flow"])
def test_flexible_densities_are_closer_than_a_gaussian(name: str) -> None:
    nearer = log_ratio(fitted_to("gaussian")) - log_ratio(fitted_to(name))
    assert nearer.mean() > 4 * error(nearer)


@pytest.mark.parametrize("name", ["kernel", "flow"])
def test_mixture_is_closer_than_other_families(name: str) -> None:
    farther = log_ratio(fitted_to(name)) - log_ratio(fitted_to("mixture"))
    assert farther.mean() > 4 * error(farther)
