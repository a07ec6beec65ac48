"""Gradient norm: its value at each place, and the curvature a*(λ) at the optimum of training."""

import json
from pathlib import Path

import pytest
import torch

from ebm_cli import load_run
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.energy.quadratic import Quadratic
from tests.contract import build
from tests.regularizer.outcome import outcome

A = 1.5


def penalty(at: str, x: torch.Tensor, x_model: torch.Tensor | None, rng: torch.Generator, scale: float = 1.0) -> float:
    energy = Quadratic(A, tuple(x.shape[1:]))
    regularizer = build("regularizer", "gradient_norm", {"weight": 0.4, "at": at, "scale": scale})
    return float(regularizer(energy, outcome(energy, x, x_model), rng).detach())


@pytest.mark.parametrize("event", [(2,), (1, 4, 4)])
def test_at_data_it_is_half_its_weight_times_the_mean_square_slope(
    event: tuple[int, ...], rng: torch.Generator
) -> None:
    x = torch.randn(50, *event, generator=rng)
    assert penalty("data", x, None, rng) == pytest.approx(0.2 * float((A * x).flatten(1).square().sum(1).mean()))


def test_at_a_gaussian_it_does_not_depend_on_data(rng: torch.Generator) -> None:
    n, scale = 40_000, 2.0
    value = penalty("gaussian", torch.full((n, 2), 100.0), None, rng, scale)
    # ‖∇E‖² = a²·scale²·χ²₂, whose mean is 2 and standard deviation 2.
    mean = 0.2 * A**2 * scale**2 * 2
    assert abs(value - mean) < 4 * mean / n**0.5


def test_on_the_line_it_lies_between_data_and_chains(rng: torch.Generator) -> None:
    n = 40_000
    value = penalty("line", torch.full((n, 1), 1.0), torch.full((n, 1), 3.0), rng)
    # x = 3 − 2u: E x² = 13/3, and the variance of x² is E x⁴ − (13/3)² = 24.2 − 18.78.
    assert abs(value - 0.2 * A**2 * 13 / 3) < 4 * 0.2 * A**2 * (24.2 - (13 / 3) ** 2) ** 0.5 / n**0.5


def test_the_line_needs_chains(rng: torch.Generator) -> None:
    with pytest.raises(InputError, match="at=line needs an objective with chains"):
        penalty("line", torch.zeros(3, 2), None, rng)


def curvature(weight: float, s: float, scale: float) -> float:
    """a* = (−s² + √(s⁴ + 8λσ²))/(4λσ²)."""
    return (-(s**2) + (s**4 + 8 * weight * scale**2) ** 0.5) / (4 * weight * scale**2)


@pytest.mark.parametrize("weight", [0.02, 0.1, 0.5, 2.0, 10.0])
def test_training_ends_on_the_curvature_of_the_closed_form(
    weight: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    s, scale = 0.8, 1.3
    words = [
        "energy=quadratic",
        "data=gaussian",
        f"data.std={s}",
        "sampler=mala",
        "sampler.step_size=1.0",
        "start.size=2048",
        "start.restart=0",
        "objective.steps=3",
        "regularizer=[gradient_norm]",
        "regularizer.gradient_norm.at=gaussian",
        f"regularizer.gradient_norm.scale={scale}",
        f"regularizer.gradient_norm.weight={weight}",
        "optimizer.lr=0.05",
        "optimizer.warmup=10",
        "trainer.steps=300",
        "trainer.batch_size=2048",
        "trainer.ema_decay=0.97",
        "trainer.log_every=100",
        "out=run",
    ]
    assert main(["train", *words]) == 0
    assert json.loads((tmp_path / "run/metrics.json").read_text())["steps"]["value"] == 300
    assert float(load_run("run").energy.a.detach()) == pytest.approx(curvature(weight, s, scale), rel=0.01)
