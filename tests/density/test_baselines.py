"""Baselines: closed forms, integrals of 1, numbers of components that fit the data, and the noise."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._rows import noisy_split
from ebm_cli.density import Baseline, fit_baselines
from tests.contract import build


class Table(FiniteData):
    """FiniteData of the test's choice."""

    def __init__(self, train: Tensor, held_out: Tensor, noise: float) -> None:
        super().__init__(*(Batch(x, clean=x) for x in (train, held_out)), noise)

    def decode(self, x: Tensor) -> np.ndarray:
        return x.numpy()


def normal(n: int, d: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def fit(data: object, name: str, seed: int = 0) -> Baseline:
    (found,) = fit_baselines(data, [name], seed, print)
    return found


def grid(low: float, high: float, size: int) -> tuple[Tensor, float]:
    """Points of a square, and the area of each."""
    side = torch.linspace(low, high, size, dtype=torch.float64)
    return torch.cartesian_prod(side, side), float(side[1] - side[0]) ** 2


def test_gaussian_scores_its_closed_form() -> None:
    # FiniteData of N(0, 2²) with noise 0.5: scored samples are N(0, 4.25).
    data = Table(normal(4000, 3, 0, 2.0), normal(4000, 3, 1, 2.0), 0.5)
    scored = fit(data, "gaussian").log_prob(noisy_split(data, "held_out", 0).x)
    entropy = 1.5 * math.log(2 * math.pi * math.e * 4.25)
    assert abs(float(scored.mean()) + entropy + 9 / (2 * 4000)) < 4 * float(scored.std()) / 4000**0.5


def test_mixture_reaches_the_cross_entropy_of_a_mixture_with_its_number_of_components() -> None:
    means = [[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]]
    wells = build("energy", "gaussian_mixture", {"means": means, "stds": 3 * [0.7], "weights": [1.0, 2.0, 1.0]})
    draws = wells.draw(6000, 1.0, torch.Generator().manual_seed(0)).detach()
    data = Table(draws[:3000], draws[3000:], 0.0)
    found = fit(data, "mixture")
    better = found.log_prob(draws[3000:]) + wells(draws[3000:]).detach()
    # 17 parameters of a fit to 3,000 rows cost half a nat each over these.
    assert abs(float(better.mean()) + 17 / 6000) < 4 * float(better.std()) / 3000**0.5 + 17 / 6000
    assert found.words == "Gaussian mixture, 3 components"
    assert fit(Table(normal(500, 2, 0), normal(500, 2, 1), 0.0), "mixture").words == "Gaussian mixture, 1 component"


@pytest.mark.parametrize("name", ["gaussian", "mixture", "kernel", "flow"])
@pytest.mark.parametrize("noise", [0.0, 0.3], ids=["clean", "noised"])
def test_density_integrates_to_one(name: str, noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "flow":
        pytest.importorskip("zuko")
        monkeypatch.setattr("ebm_cli.density.flow.MAX_STEPS", 10)
        monkeypatch.setattr("ebm_cli.density.flow.VALIDATE_EVERY", 5)
    rows = normal(300, 2, 0) * torch.tensor([1.0, 0.4]) + torch.tensor([0.5, -0.3])
    points, area = grid(-9, 9, 181 if name == "flow" else 361)
    density = fit(Table(rows, rows[:20], noise), name).log_prob(points).exp()
    assert float(density.sum()) * area == pytest.approx(1, abs=2e-3)


def test_density_contains_the_noise() -> None:
    rows = normal(800, 2, 0, 0.05)
    for name in ("gaussian", "mixture", "kernel"):
        scored = {σ: fit(Table(rows, rows, σ), name).log_prob(torch.zeros(1, 2)) for σ in (0.5, 1.0)}
        # Almost all of the width is the noise's.
        assert float(scored[0.5]) == pytest.approx(-math.log(2 * math.pi * 0.5**2), abs=0.05)
        assert float(scored[1.0]) == pytest.approx(-math.log(2 * math.pi), abs=0.05)


def test_flow_scores_higher_than_a_gaussian_on_curved_data(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zuko")
    monkeypatch.setattr("ebm_cli.density.flow.MAX_STEPS", 100)
    monkeypatch.setattr("ebm_cli.density.flow.LEARNING_RATES", (1e-3,))
    draws = build("data", "two_moons").split("train").x[:900]
    data = Table(draws[:600], draws[600:], 0.0)
    flow, gaussian = (fit(data, name).log_prob(draws[600:]).mean() for name in ("flow", "gaussian"))
    assert flow > gaussian + 0.3


def test_fit_is_a_function_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zuko")
    monkeypatch.setattr("ebm_cli.density.flow.MAX_STEPS", 10)
    monkeypatch.setattr("ebm_cli.density.flow.VALIDATE_EVERY", 5)
    data = Table(normal(40, 2, 0), normal(50, 2, 1), 0.1)
    x = normal(5, 2, 2)
    scores = {}
    for name in ("mixture", "kernel", "flow"):
        before = torch.get_rng_state()
        scores[name] = [fit(data, name, seed).log_prob(x) for seed in (0, 0, 1)]
        assert torch.equal(torch.get_rng_state(), before), name
        assert torch.equal(scores[name][0], scores[name][1]), name
    assert not torch.equal(scores["flow"][0], scores["flow"][2])


@pytest.mark.parametrize("name", ["gaussian", "mixture", "kernel"])
def test_few_rows_and_constant_coordinates_have_a_density(name: str) -> None:
    few = normal(12, 30, 0)
    few[:, 3] = 1.0
    found = fit(Table(few, few, 0.2), name).log_prob(few)
    assert bool(found.isfinite().all())


def test_flat_directions_without_noise_are_reported() -> None:
    rows = normal(100, 3, 0)
    rows[:, 2] = rows[:, 0]
    messages: list[str] = []
    fit_baselines(Table(rows, rows, 0.0), ["gaussian"], 0, messages.append)
    assert "do not vary in 1 of 3 directions" in messages[0]


def test_unknown_names_are_refused_and_a_missing_zuko_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Table(normal(20, 2, 0), normal(20, 2, 1), 0.0)
    with pytest.raises(InputError, match="did you mean 'kernel'"):
        fit_baselines(data, ["kernl"], 0, print)
    monkeypatch.setattr("ebm_cli.density.find_spec", lambda name: None)
    messages: list[str] = []
    assert fit_baselines(data, ["flow"], 0, messages.append) == [] and "ebm-cli[baselines]" in messages[0]


def test_signal_ends_the_fits() -> None:
    assert fit_baselines(Table(normal(20, 2, 0), normal(20, 2, 1), 0.0), ["gaussian"], 0, print, lambda: True) == []
