"""Fisher divergence: Gaussians in closed form, with a known density and as a difference; its error and refusals."""

import numpy as np
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.estimate import Estimate
from tests.contract import build
from tests.metric.subject import normal, subject

STD = 1.5


class Unknown:
    """Rows of N(0, STD² I) whose density is not told."""

    noise, finite = 0.0, True

    def __init__(self, dim: int, n: int = 4000) -> None:
        self.event = (dim,)
        self.rows = {"train": Batch(STD * normal(n, dim, seed=1)), "held_out": Batch(STD * normal(n, dim, seed=2))}

    def split(self, split: str) -> Batch:
        return self.rows[split]

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        chosen = torch.randint(len(self.rows["train"].x), (n,), generator=rng)
        return self.rows["train"].select(chosen)

    def decode(self, x: torch.Tensor) -> np.ndarray:
        return x.numpy()


def found(data: Data, a: float, options: dict[str, int] | None = None, **changes: object) -> dict[str, Estimate]:
    energy = build("energy", "quadratic", {"a": a}, event=data.event)
    metric = build("metric", "fisher_divergence", options)
    return metric(subject(data, None, energy=energy, **changes)).estimates


@pytest.mark.parametrize(("a", "temperature"), [(1.0, 1.0), (2.0, 1.0), (2.0, 3.0)])
def test_value_is_that_of_gaussians_in_closed_form(a: float, temperature: float) -> None:
    data = build("data", "gaussian", {"dim": 3, "std": STD, "n": 500})
    row = found(data, a, temperature=temperature)["fisher_divergence"]
    # ½E‖−x/s² + ax/T‖² over d coordinates.
    exact = 0.5 * 3 * (a / temperature - 1 / STD**2) ** 2 * STD**2
    assert row.verdict == "ok" and abs(row.value - exact) < 4 * row.se
    share = 100 * (row.value / (0.5 * 3 / STD**2))
    assert abs(float(row.meaning.split("by ")[1].split(" %")[0]) - share) < 0.1 * share
    assert "(0 % is perfect)" in row.meaning


def test_exact_model_has_no_divergence() -> None:
    data = build("data", "gaussian", {"dim": 3, "std": STD, "n": 500})
    assert found(data, 1 / STD**2)["fisher_divergence"].value == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("options", [{}, {"max_dimension": 1, "projections": 3}])
@pytest.mark.parametrize(("a", "words"), [(2.0, "farther"), (1 / STD**2, "no difference")])
def test_difference_from_a_gaussian_fit_is_that_in_closed_form(a: float, words: str, options: dict[str, int]) -> None:
    row = found(Unknown(2), a, options)["fisher_divergence_difference"]
    # The Gaussian fit of 4,000 rows is exact within an error that is far below that of the value.
    exact = 0.5 * 2 * (a - 1 / STD**2) ** 2 * STD**2
    assert abs(row.value - exact) < 4 * row.se + 2e-3 and words in row.meaning


def test_model_closer_than_the_gaussian_fit_has_a_negative_difference() -> None:
    data = Unknown(2)
    for part, rows in data.rows.items():
        sign = torch.where(rows.x[:, :1] > 0, 4.0, -4.0)
        data.rows[part] = Batch(
            normal(len(rows.x), 2, seed=3 if part == "train" else 4) + sign * torch.tensor([1.0, 0.0])
        )
    means = {"means": [[4.0, 0.0], [-4.0, 0.0]], "stds": [1.0, 1.0], "weights": [0.5, 0.5]}
    energy = build("energy", "gaussian_mixture", means)
    row = build("metric", "fisher_divergence")(subject(data, None, energy=energy)).estimates[
        "fisher_divergence_difference"
    ]
    # The mixture is exact: the value is minus the divergence of N(0, diag(17, 1)), ½(1 − 1/17)² · 1 + …
    x = data.rows["held_out"].x.double()
    exact = -0.5 * ((x[:, 0] / 17 - (x[:, 0] - 4 * torch.tanh(4 * x[:, 0]))) ** 2).mean()
    assert row.value < 0 and abs(row.value - float(exact)) < 4 * row.se and "closer to the data than" in row.meaning


def test_projected_trace_has_an_error_that_covers_the_exact_one() -> None:
    energy = build("energy", "mlp", {"width": 8}, event=(6,))
    metric = [build("metric", "fisher_divergence", {"max_dimension": m, "projections": 5}) for m in (6, 5)]
    context = subject(Unknown(6, n=500), None, energy=energy)
    exact, projected = (each(context).estimates["fisher_divergence_difference"] for each in metric)
    assert exact.value != projected.value and abs(exact.value - projected.value) < 4 * projected.se


def test_what_has_no_divergence_is_refused_with_the_reason() -> None:
    repeated = Unknown(2, n=500)
    repeated.rows["train"] = Batch(repeated.rows["train"].x.round())
    with pytest.raises(InputError, match="needs data with a density, but only"):
        found(repeated, 1.0)
    with pytest.raises(InputError, match="temperature > 0"):
        found(Unknown(2), 1.0, temperature=0.0)
    with pytest.raises(InputError, match="no such file"):
        found(Unknown(2), 1.0, train=None, train_missing="no such file")
    with pytest.raises(InputError, match="needs data"):
        build("metric", "fisher_divergence")(subject(None, None))
