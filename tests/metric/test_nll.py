"""Negative log-likelihood: the Gaussian's formula, its error, its bounds, and refusal if log Z is refused."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._sites import Sites
from ebm_cli.estimate import Estimate, refused
from ebm_cli.metric.nll import nll_estimate, reduced_energies
from ebm_cli.partition import LogZResult
from ebm_cli.partition.settings import log_z_settings
from tests.contract import build
from tests.metric.subject import subject

T = 2.0
GAUSSIAN = {"baselines": ["gaussian"]}


@pytest.fixture(scope="module")
def estimates() -> dict[str, Estimate]:
    """Rows of N(1, 1.5²I) under exp(−½·3‖x‖²/T)."""
    data = build("data", "gaussian", {"mean": 1.0, "std": 1.5, "n": 1000})
    asked = subject(data, None, energy=build("energy", "quadratic", {"a": 3.0}, event=(2,)), temperature=T)
    return build("metric", "nll", GAUSSIAN)(asked).estimates


@pytest.mark.parametrize(("name", "part"), [("nll", "held_out"), ("nll_train", "train")])
def test_it_is_minus_the_mean_log_density_of_each_part(estimates: dict[str, Estimate], name: str, part: str) -> None:
    x = build("data", "gaussian", {"mean": 1.0, "std": 1.5, "n": 1000}).split(part).x.double()
    each = -torch.distributions.Normal(0.0, (T / 3) ** 0.5).log_prob(x).sum(1)
    found = estimates[name]
    assert found.verdict == "ok" and found.unit == "nats"
    assert found.value == pytest.approx(float(each.mean()), abs=1e-5)
    assert found.se == pytest.approx(float(each.std()) / len(each) ** 0.5, rel=1e-5)
    assert found.lower <= found.value <= found.upper


def test_the_error_covers_the_expectation(estimates: dict[str, Estimate]) -> None:
    # E x² = mean² + std², two coordinates.
    exact = 3.0 / (2 * T) * 2 * (1 + 1.5**2) + math.log(2 * math.pi * T / 3)
    assert abs(estimates["nll"].value - exact) < 4 * estimates["nll"].se


def test_bits_are_nats_over_dimensions_and_log_two(estimates: dict[str, Estimate]) -> None:
    nll, bits = estimates["nll"], estimates["bits_per_dim"]
    assert bits.unit == "bits"
    for whole, part in ((nll.value, bits.value), (nll.se, bits.se), (nll.lower, bits.lower), (nll.upper, bits.upper)):
        assert part == pytest.approx(whole / (2 * math.log(2)))


def test_the_ends_are_those_of_log_z_and_a_missing_one_stays_missing() -> None:
    asked = subject(build("data", "gaussian", {"n": 100}), None)
    e = reduced_energies(asked.energy, 1.0, asked.held_out.x)
    mean = float(0.5 * asked.held_out.x.square().sum(1).double().mean())
    log_z = Estimate(2.0, se=0.1, lower=1.5, unit="nats", verdict="caution", reasons=("no upper bound: not mixed",))
    found = nll_estimate(e, log_z, 1.0, "nats")
    assert (found.value, found.lower) == (pytest.approx(mean + 2), pytest.approx(mean + 1.5))
    assert found.upper is None and found.verdict == "caution" and "no upper bound" in found.reason


def test_a_log_z_that_is_refused_refuses_every_score_of_the_model_with_its_reason() -> None:
    metric = build("metric", "nll", GAUSSIAN)
    asked = subject(build("data", "gaussian", {"n": 100}), None)
    asked.partitions[log_z_settings(metric)] = LogZResult(refused("weights collapsed", "nats"))
    found = metric(asked)
    for name in ("nll", "nll_train", "bits_per_dim"):
        assert found.estimates[name].value is None and "weights collapsed" in found.estimates[name].reason
    assert found.estimates["nll_gaussian"].verdict == "ok"
    alone = build("metric", "nll", {"baselines": []})
    asked.partitions[log_z_settings(alone)] = LogZResult(refused("weights collapsed", "nats"))
    assert alone(asked).draw() is None
    assert "log_density" not in found.tables["scores.csv"] and "gaussian" in found.tables["scores.csv"]


def test_rows_of_no_finite_energy_are_refused_with_their_number() -> None:
    found = nll_estimate(np.array([1.0, math.nan, 2.0]), Estimate(1.0), 1.0, "nats")
    assert found.verdict == "refused" and "1 of 3 rows" in found.reason


def test_a_baseline_is_scored_on_the_same_rows_and_the_margin_is_paired() -> None:
    # The model is the data's own law: a Gaussian fitted to 5,000 rows comes within its fit of it.
    data = build("data", "gaussian", {"mean": 0.0, "std": 1.0, "n": 5000})
    found = build("metric", "nll", GAUSSIAN)(subject(data, None))
    nll, gaussian = found.estimates["nll"], found.estimates["nll_gaussian"]
    # Five parameters cost half a nat each over the rows; the margin's error is that of the difference alone.
    assert 0 <= gaussian.value - nll.value + 5 / 5000 < 20 / 5000
    margin = next(note for note in found.notes if "Gaussian, full covariance, paired" in note)
    assert "upper bound" in margin and ("ahead of" in margin) == (gaussian.value > nll.upper)
    table = found.tables["scores.csv"]
    assert table["gaussian"][:2000].mean() == pytest.approx(-gaussian.value)
    assert found.draw() is not None


def test_every_row_has_a_line_with_its_score() -> None:
    data = build("data", "gaussian", {"n": 100})
    asked = subject(data, None)
    found = build("metric", "nll", {"baselines": []})(asked)
    table = found.tables["scores.csv"]
    assert table["part"] == ["held_out"] * 2000 + ["train"] * 100
    held_out = np.array(table["log_density"])[:2000]
    assert -held_out.mean() == pytest.approx(found.estimates["nll"].value)
    assert (table["pessimistic"] <= table["log_density"]).all() and (table["log_density"] <= table["optimistic"]).all()


def test_wrong_baselines_are_named() -> None:
    with pytest.raises(InputError, match=r"baselines must be one of gaussian, .*, tree, .*, got 'gausian'"):
        build("metric", "nll", {"baselines": ["gausian"]})


def test_wrong_numbers_of_the_recipe_and_all_wrong_baselines_are_named_at_once() -> None:
    with pytest.raises(InputError) as wrong:
        build("metric", "nll", {"chains": 3, "steps": 10, "baselines": ["flow", "gausian", "trees"]})
    assert [m.split(" ")[0] for m in wrong.value.messages] == ["chains", "steps", "baselines", "baselines"]


def test_the_noise_that_rows_carry_is_said() -> None:
    metric = build("metric", "nll", {"baselines": []})
    energy = build("energy", "quadratic", event=(1, 8, 8))
    asked = subject(build("data", "digits"), None, energy=energy)
    asked.partitions[log_z_settings(metric)] = LogZResult(Estimate(1.0, unit="nats"))
    found = metric(asked)
    assert f"σ = {asked.data.noise:g}" in found.notes[0] and not metric.needs_samples


def test_without_data_it_asks_for_some() -> None:
    with pytest.raises(InputError, match="needs data to score"):
        build("metric", "nll")(subject(None, None))


class Fields(nn.Module):
    """E = −Σ θ·x over independent sites, with as many fields as numbers in a state."""

    def __init__(self, space: str, event: tuple[int, ...]) -> None:
        super().__init__()
        self.space, self.event = space, event
        self.θ = nn.Parameter(torch.randn(event, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        return -(x * self.θ).flatten(1).sum(1)


class States(FiniteData):
    """Uniform states of a discrete space."""

    def __init__(self, space: str, event: tuple[int, ...]) -> None:
        self.space = space
        train, held_out = (
            Batch(x, clean=x)
            for x in (Sites(space, event).uniform(n, torch.Generator().manual_seed(n), torch.float32) for n in (80, 50))
        )
        super().__init__(train, held_out, 0.0)

    def decode(self, x: Tensor) -> np.ndarray:
        return x.numpy()


@pytest.mark.parametrize(("space", "event"), [("binary", (7,)), ("spin", (2, 3)), ("categorical", (4, 3))])
def test_discrete_rows_have_the_probabilities_of_the_model(space: str, event: tuple[int, ...]) -> None:
    energy, data = Fields(space, event), States(space, event)
    found = build("metric", "nll")(subject(data, None, energy=energy, event=event, temperature=T))
    x, θ = data.split("held_out").x, energy.θ.detach() / T
    if space == "categorical":
        exact = (x * θ.log_softmax(1)).sum((1, 2))
    else:
        # Odds of the value 1: e^θ for bits, e^2θ for spins.
        exact = nn.functional.logsigmoid((2 * x - 1 if space == "binary" else 2 * x) * θ).flatten(1).sum(1)
    nll, bits = found.estimates["nll"], found.estimates["bits_per_dim"]
    assert nll.value == pytest.approx(-float(exact.mean()), abs=1e-5) and nll.verdict == "ok"
    sites = math.prod(event) if space != "categorical" else event[0]
    assert bits.value == pytest.approx(nll.value / (sites * math.log(2)))
    assert {name for name in found.estimates if name.startswith("nll_")} == {
        "nll_train",
        "nll_bernoulli",
        "nll_bernoulli_mixture",
        "nll_tree",
        "nll_autoregressive",
    }
    assert found.tables["scores.csv"]["log_density"][:50].mean() == pytest.approx(-nll.value)
    assert found.draw() is not None
    with pytest.raises(InputError, match=f"baselines must be bernoulli or .* for {space} rows, got gaussian"):
        build("metric", "nll", GAUSSIAN)(subject(data, None, energy=energy, event=event, temperature=T))
