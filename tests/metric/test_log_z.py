"""log Z as a metric: exact if the truth is known, without data, with its method, and computed once per settings."""

import pytest
import torch

from ebm_cli import partition
from ebm_cli.check import InputError
from tests.contract import build
from tests.metric.subject import subject

QUICK = {"chains": 16, "temperatures": 10, "leapfrog_steps": 2, "steps": 100}


def test_it_needs_no_data_and_says_method_and_closed_form() -> None:
    asked = subject(None, None, energy=build("energy", "quadratic", {"a": 3.0}, event=(2,)), temperature=2.0)
    metric = build("metric", "log_z")
    found = metric(asked)
    value = found.estimates["log_z"]
    assert not metric.needs_samples and value.verdict == "ok" and value.unit == "nats"
    assert value.value == pytest.approx(asked.energy.log_z(2.0), abs=1e-5)
    assert "quadrature in 2 dimensions" in found.notes[0]
    assert found.notes[1] == f"log Z in closed form: {asked.energy.log_z(2.0):.6g} nats"


def test_more_dimensions_are_annealed_and_the_bracket_is_said() -> None:
    energy = build("energy", "quadratic", event=(4,))
    data = build("data", "gaussian", {"dim": 4, "n": 400})
    found = build("metric", "log_z", QUICK)(subject(data, None, energy=energy))
    value = found.estimates["log_z"]
    assert "annealed paths in both directions in 4 dimensions, above" in found.notes[0]
    assert value.value is not None and value.lower < energy.log_z(1.0)
    assert abs(value.value - energy.log_z(1.0)) < 4 * value.se


def test_no_closed_form_at_a_temperature_is_said_and_is_no_error() -> None:
    data = build("data", "gaussian", {"std": 2.0, "n": 200})
    asked = subject(data, None, energy=build("energy", "gaussian_mixture"), temperature=2.0)
    found = build("metric", "log_z")(asked)
    assert found.estimates["log_z"].verdict == "ok" and "no closed form" in found.notes[-1]


def test_the_same_recipe_is_found_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    once = partition.log_z
    monkeypatch.setattr(partition, "log_z", lambda *asked: calls.append(1) or once(*asked))
    asked = subject(build("data", "gaussian", {"n": 200}), None)
    log_z, nll = build("metric", "log_z")(asked), build("metric", "nll", {"baselines": []})(asked)
    assert len(calls) == 1
    rows = 0.5 * asked.held_out.x.square().sum(1).double().mean()
    assert nll.estimates["nll"].value == pytest.approx(float(rows) + log_z.estimates["log_z"].value, abs=1e-6)


def test_wrong_recipes_are_named() -> None:
    with pytest.raises(
        InputError, match=r"method must be one of auto, quadrature, ais, smc, ti, bridge, got 'ias'; did you mean 'ais'"
    ):
        build("metric", "log_z", {"method": "ias"})
    with pytest.raises(InputError, match="temperatures must be >= 2, got 1"):
        build("metric", "log_z", {"temperatures": 1})
    with pytest.raises(InputError, match="temperature > 0"):
        build("metric", "log_z")(subject(None, None, temperature=0.0))


def test_the_result_is_a_function_of_the_seed() -> None:
    energy = build("energy", "quadratic", event=(4,))
    data = build("data", "gaussian", {"dim": 4, "n": 100})
    recipe = QUICK | {"temperatures": 4}

    def value(seed: int) -> object:
        return build("metric", "log_z", recipe)(subject(data, None, energy=energy, seed=seed)).estimates["log_z"]

    torch.manual_seed(1)
    first = value(0)
    torch.manual_seed(2)
    assert value(0) == first
