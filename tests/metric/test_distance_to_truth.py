"""Distance to the truth: closed forms and quadrature for Gaussians, and refusal of a model without a finite mass."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate
from tests.contract import build
from tests.metric.subject import subject

CURVATURES = pytest.mark.parametrize("a", [0.05, 0.2, 0.3, 0.44, 1.0, 4.0])


def estimates(dim: int, a: float, temperature: float = 1.0, mean: float = 0.0) -> dict[str, Estimate]:
    data = build("data", "gaussian", {"dim": dim, "mean": mean, "n": 500})
    energy = build("energy", "quadratic", {"a": a}, event=data.event)
    metric = build("metric", "distance_to_truth")
    return metric(subject(data, None, energy=energy, temperature=temperature)).estimates


def kl(variance: float, mean: float = 0.0) -> float:
    """KL(N(mean, 1) ‖ N(0, variance))."""
    return 0.5 * (math.log(variance) + (1 + mean**2) / variance - 1)


@CURVATURES
def test_kl_and_tv_on_the_line_are_exact(a: float, float64: None) -> None:
    found, mean = estimates(1, a, mean=0.5), 0.5
    p, q = norm(mean, 1).pdf, norm(0, a**-0.5).pdf
    edges = np.linspace(-40, 40, 161)
    pieces = itertools.pairwise(edges)
    tv = 0.5 * sum(quad(lambda x: abs(p(x) - q(x)), low, high)[0] for low, high in pieces)
    assert found["kl"].value == pytest.approx(kl(1 / a, mean), abs=1e-3)
    assert found["tv"].value == pytest.approx(tv, abs=1e-3)


@CURVATURES
def test_kl_and_tv_in_the_plane_are_exact(a: float, float64: None) -> None:
    found = estimates(2, a)
    # P(‖x‖ < r) = 1 − exp(−r²/2s²): TV is the difference where the densities cross.
    cross = 0.0 if a == 1 else 2 * math.log(a) / (a - 1)
    tv = abs(math.exp(-cross / 2) - math.exp(-a * cross / 2))
    assert found["kl"].value == pytest.approx(2 * kl(1 / a), abs=1e-3)
    assert found["tv"].value == pytest.approx(tv, abs=1e-3)


def test_only_energy_over_temperature_counts(float64: None) -> None:
    hot, cold = estimates(1, 4.0, temperature=2.0), estimates(1, 2.0, temperature=1.0)
    assert hot["kl"].value == pytest.approx(cold["kl"].value) and hot["tv"].value == pytest.approx(cold["tv"].value)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_model_whose_mass_escapes_is_refused(dim: int) -> None:
    for estimate in estimates(dim, 1e-6).values():
        assert estimate.verdict == "refused" and "confinement" in estimate.reason


def test_kl_to_a_model_that_all_but_misses_the_data_is_exact(float64: None) -> None:
    assert estimates(1, 400.0)["kl"].value == pytest.approx(kl(1 / 400.0), rel=1e-3)


@pytest.mark.parametrize(
    ("data", "temperature", "reason"),
    [
        (("digits", {}), 1.0, "density is known"),
        (None, 1.0, "density is known"),
        (("gaussian", {"dim": 3}), 1.0, "one or two dimensions"),
        (("gaussian", {}), 0.0, "temperature > 0"),
    ],
)
def test_what_it_cannot_score_is_an_input_error(
    data: tuple[str, dict[str, Any]] | None, temperature: float, reason: str
) -> None:
    asked = subject(data and build("data", *data), None, temperature=temperature)
    with pytest.raises(InputError, match=reason):
        build("metric", "distance_to_truth")(asked)


@pytest.mark.parametrize("space", ["spin", "binary"])
def test_kl_and_tv_of_stored_patterns_are_sums_over_all_states(space: str, float64: None) -> None:
    data = build("data", "patterns", {"count": 3, "size": 10, "space": space})
    energy = build("energy", "ising" if space == "spin" else "rbm", event=(10,))
    found = build("metric", "distance_to_truth")(subject(data, None, energy=energy, temperature=2.0))
    states = torch.tensor(list(itertools.product([-1.0 if space == "spin" else 0.0, 1.0], repeat=10)))
    q = (-energy(states).detach() / 2).softmax(0)
    p = torch.stack([(states == pattern).all(1).double() for pattern in data.split("train").x]).mean(0)
    assert p.sum() == 1 and (p > 0).sum() == 3
    stored = p > 0
    assert found.estimates["kl"].value == pytest.approx(float((p * (p / q).log())[stored].sum()))
    assert found.estimates["tv"].value == pytest.approx(float((p - q).abs().sum() / 2))
    assert found.draw() is not None


def test_too_many_states_are_refused() -> None:
    data = build("data", "patterns", {"size": 30})
    found = build("metric", "distance_to_truth")(subject(data, None, energy=build("energy", "ising", event=(30,))))
    assert all("2^30 states are too many" in estimate.reason for estimate in found.estimates.values())
