"""Robustness: attacks on linear classifiers reach their closed forms, and masked gradients are found."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data import Batch
from ebm_cli.estimate import Estimate
from ebm_cli.metric._attacks import Ball, projected_gradients
from ebm_cli.metric._purifier import Purified
from tests.contract import build
from tests.metric.subject import subject

DIM, ROWS = 6, 200
LIGHT = {"steps": 20, "queries": 60}


class Linear(nn.Module):
    """Logits Wx, in steps of `rounding` if it is positive: then their gradient is 0 everywhere."""

    def __init__(self, classes: int, rounding: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("w", torch.randn(classes, DIM, generator=torch.Generator().manual_seed(1)))
        self.rounding, self.event = rounding, (DIM,)

    def logits(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n classes"]:
        f = x @ self.w.T
        return (f / self.rounding).round() * self.rounding + 0 * f if self.rounding else f

    def forward(self, x: Tensor) -> Tensor:
        return -self.logits(x).logsumexp(1)


def batch(energy: Linear, n: int, seed: int) -> Batch:
    """Rows whose labels are the classes of the energy, but for a tenth."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, DIM, generator=rng)
    y, other = energy.logits(x).argmax(1), torch.randint(len(energy.w), (n,), generator=rng)
    return Batch(x, x, torch.where(torch.rand(n, generator=rng) < 0.1, other, y))


def found(energy: Linear, **options: object) -> tuple[dict[str, Estimate], dict[str, list]]:
    data = build("data", "gaussian", {"dim": DIM})
    context = subject(data, None, energy=energy, held_out=batch(energy, ROWS, 2), train=batch(energy, 500, 3))
    result = build("metric", "robustness", LIGHT | options)(context)
    return result.estimates, result.tables["robustness.csv"]


def slack(energy: Linear, rows: Batch, norm: str, radius: float) -> Tensor:
    """min over classes j of the margin f_y − f_j minus radius times the dual norm of w_y − w_j: > 0 for robust rows."""
    f, y = energy.logits(rows.x), rows.y
    lengths = torch.cdist(energy.w, energy.w, p=1.0 if norm == "linf" else 2.0)
    margins = f.gather(1, y[:, None]) - f - radius * lengths[y]
    return margins.scatter(1, y[:, None], torch.inf).amin(1)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.1), ("linf", 0.3), ("l2", 0.2), ("l2", 0.7)])
def test_projected_gradients_break_the_rows_of_a_linear_classifier_that_can_be_broken_and_no_others(
    classes: int, norm: str, radius: float
) -> None:
    energy = Linear(classes)
    rows, rng = batch(energy, ROWS, 2), torch.Generator().manual_seed(0)
    ball = Ball(norm, radius, None)
    points = projected_gradients(energy.logits, rows.x, rows.y, ball, steps=40, restarts=classes, rng=rng)
    assert float(ball.length(points - rows.x).max()) <= radius * (1 + 1e-5)
    exact = slack(energy, rows, norm, radius)
    sure = exact.abs() > 1e-4
    stays = energy.logits(points).argmax(1) == rows.y
    assert torch.equal(stays[sure], (exact > 0)[sure]) and 0.02 < float(stays.float().mean()) < 0.9


def test_robust_accuracy_is_the_closed_form_and_decisions_come_near_it_from_above() -> None:
    energy = Linear(2)
    rows, table = found(energy, linf=[0.2], l2=[0.4], queries=200, restarts=1)
    for norm, radius in (("linf", 0.2), ("l2", 0.4)):
        exact = float((slack(energy, batch(energy, ROWS, 2), norm, radius) > 0).double().mean())
        row = rows[f"robust_accuracy_{norm}_{radius}"]
        assert row.value == pytest.approx(exact, abs=1e-6) and row.verdict == "ok"
        of = {a: v for n, a, v in zip(table["norm"], table["attack"], table["accuracy"], strict=True) if n == norm}
        assert exact <= of["decisions"] < exact + 0.05 and exact <= of["transfer"] <= rows["clean_accuracy"].value
    assert rows["robust_accuracy"].value == rows["robust_accuracy_linf_0.2"].value
    assert "moved by up to 0.2 in L∞" in rows["robust_accuracy"].meaning


def test_gradients_that_are_masked_are_a_caution_and_do_not_raise_robust_accuracy() -> None:
    plain, masked = (found(Linear(2, rounding), linf=[0.2], l2=[], restarts=1)[0] for rounding in (0.0, 0.3))
    row = masked["robust_accuracy_linf_0.2"]
    assert plain["robust_accuracy"].verdict == "ok"
    assert row.verdict == "caution" and "gradients are masked" in row.reason
    assert row.value < plain["robust_accuracy"].value + 4 * row.se < masked["clean_accuracy"].value


def test_points_stay_in_the_ball_and_in_the_box() -> None:
    x0 = 2 * torch.rand(50, 1, 3, 3, generator=torch.Generator().manual_seed(0)) - 1
    for norm in ("linf", "l2"):
        ball = Ball(norm, 0.5, (-1.0, 1.0))
        rng = torch.Generator().manual_seed(1)
        for points in (ball.random(x0, rng), ball.project(x0 + torch.randn(x0.shape, generator=rng), x0)):
            assert float(ball.length(points - x0).max()) < 0.5 + 1e-5 and float(points.abs().max()) <= 1


def test_the_purifier_takes_langevin_steps_and_gradients_go_through_them(float64: None) -> None:
    energy = build("energy", "classifier", event=(2,))
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    step = x.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(energy(step).sum(), step)
    purifier = Purified(energy, 1, 0.1, 3, 0.0, torch.Generator())
    torch.testing.assert_close(purifier(x), energy.logits(x - 0.1 * grad).log_softmax(1))
    assert torch.autograd.gradcheck(lambda v: Purified(energy, 2, 0.1, 1, 0.0, torch.Generator())(v), step)


def test_noise_of_the_purifier_has_the_temperature() -> None:
    class Zero(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x.sum(1)

        def logits(self, x: Tensor) -> Tensor:
            # log softmax of (v, 0) with v = ‖x‖²/10⁶ is about v/2 − log 2.
            v = x.square().sum(1) / 1e6
            return torch.stack([v, torch.zeros_like(v)], 1)

    T, η, K, n = 2.0, 0.05, 5, 4000
    x = torch.zeros(n, DIM)
    f = Purified(Zero(2), K, η, 1, T, torch.Generator().manual_seed(0))(x)
    squared = 1e6 * (f[:, 0] - f[:, 1])
    variance = 2 * η * T * K
    assert abs(float(squared.mean()) - DIM * variance) < 4 * variance * (2 * DIM / n) ** 0.5


def test_purified_accuracies_have_rows_of_their_own() -> None:
    rows, table = found(Linear(2), linf=[0.2], l2=[], purify=2, purify_draws=2, steps=4, restarts=1)
    assert {"clean_accuracy_purified", "robust_accuracy_linf_0.2_purified"} < set(rows)
    assert "purified" in table["attack"]


def test_no_radius_and_an_energy_without_classes_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="linf or l2 must have at least one radius"):
        build("metric", "robustness", {"linf": [], "l2": []})
    assert main(["evaluate", "energy=quadratic", "data=gaussians_8", "metric=[robustness]"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "robustness needs an energy with classes, Quadratic has none" in error


@pytest.mark.figures
def test_the_command_writes_its_keys_the_table_and_the_figure(here: Path) -> None:
    light = {"steps": 3, "queries": 20, "restarts": 1, "max_rows": 40, "purify": 1}
    options = [f"metric.robustness.{key}={value}" for key, value in light.items()]
    line = ["evaluate", "energy=classifier", "data=gaussians_8", "metric=[robustness]", *options, "out=o"]
    assert main(line) == 0
    rows = json.loads((here / "o/metrics.json").read_text())
    assert {"robust_accuracy", "clean_accuracy", "robust_accuracy_l2_0.5"} < set(rows)
    assert np.genfromtxt(here / "o/robustness.csv", delimiter=",", names=True, dtype=None, encoding="utf8").size == 30
    assert (here / "o/figures/robustness.png").stat().st_size > 10_000
