"""Meanings: every quantity with a known good value says in words whether it is near it, with the number that it has."""

import math

import numpy as np
import pytest

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, refused
from ebm_cli.metric.nll import with_comparison
from tests.contract import build
from tests.metric.subject import normal, subject

GOOD = {
    "c2st_p_value": "no difference between samples and data was found",
    "mmd": "no difference between samples and data was found",
    # 600 rows in the plane are too few: the ratio is 1.8 ± 1.3.
    "frechet_ratio": "as the error is too large to say more",
    "memorization": "no closer to training rows than new data are",
    "mean_error": "no more than by chance",
    "std_ratio": "samples have the standard deviation of the data",
}
BAD = {
    "c2st_p_value": "samples differ from data",
    "mmd": "samples differ from data",
    "frechet_ratio": "times as far from held-out data as training data are",
    "mean_error": "times what chance gives",
    "std_ratio": "times the standard deviation of the data",
}


def measured(scale: float, shift: float) -> dict[str, Estimate]:
    data = build("data", "gaussian", {"n": 600, "std": 2.0})
    given = subject(data, shift + 2.0 * scale * normal(600, 2, seed=4))
    rows: dict[str, Estimate] = {}
    for name in ("c2st", "mmd", "moments", "coverage", "memorization", "frechet"):
        rows |= build("metric", name)(given).estimates
    return rows


@pytest.mark.parametrize(("scale", "shift", "words"), [(1.0, 0.0, GOOD), (1.6, 2.5, BAD)])
def test_metrics_say_what_their_values_mean(scale: float, shift: float, words: dict[str, str]) -> None:
    rows = measured(scale, shift)
    for name, expected in words.items():
        assert expected in rows[name].meaning, name
    for name in ("c2st", "coverage"):
        assert f"{100 * np.float64(rows[name].value):.0f} %" in rows[name].meaning
    assert all(row.to_json()["meaning"] for name, row in rows.items() if name in GOOD)


@pytest.mark.parametrize(("barrier", "tv"), [(1.0, 0.0), (4.0, None)])
def test_the_distance_to_the_truth_is_a_fraction_of_the_mass(barrier: float, tv: float | None) -> None:
    data = build("data", "gaussian", {"dim": 1})
    rows = build("metric", "distance_to_truth")(
        subject(data, None, energy=build("energy", "quadratic", {"a": barrier}, event=(1,)))
    ).estimates
    # N(0, 1) and N(0, 1/4) cross at |x| = √(2 log 2/3): tv is the difference of their masses within.
    at = math.sqrt(2 * math.log(2) / 3)
    exact = math.erf(2 * at / math.sqrt(2)) - math.erf(at / math.sqrt(2)) if tv is None else tv
    assert rows["tv"].value == pytest.approx(exact, abs=2e-3)
    if tv is None:
        assert f"{100 * exact:.2g} % of their mass" in rows["tv"].meaning


@pytest.mark.parametrize("apart", [0.0, 3.0])
def test_diagnostics_say_what_their_values_mean(apart: float) -> None:
    x = np.random.default_rng(0).standard_normal((8, 500, 2))
    x[:4, :, 0] += apart
    patient = ChainContext(Chains(x=x, gradients=500), build("energy", "quadratic", {"a": 1.0}, event=(2,)), 1.0)
    rows: dict[str, Estimate] = {}
    for name in ("r_hat", "ess", "self_transition", "effective_temperature"):
        rows |= build("diagnostic", name)(patient).estimates
    assert ("chains disagree" if apart else "chains agree") in rows["r_hat_max"].meaning
    assert f"4000 draws are worth about {rows['ess_bulk_min'].value:.0f} independent" in rows["ess_bulk_min"].meaning
    assert "0.0 % of its kernel steps" in rows["self_transition"].meaning
    assert f"{rows['effective_temperature'].value:.3g} times T" in rows["effective_temperature"].meaning


def test_nll_is_compared_with_the_best_simple_density_at_its_pessimistic_end() -> None:
    others = {"gaussian": Estimate(3.0), "mixture": Estimate(2.0), "flow": refused("no rows")}
    better = with_comparison(Estimate(1.0, lower=0.9, upper=1.5), others)
    assert "0.5 nats more likely than under the best simple density, mixture" in better.meaning
    assert "0.25 nats less likely" in with_comparison(Estimate(2.25), others).meaning
    assert with_comparison(refused("no log Z"), others).meaning == with_comparison(Estimate(1.0), {}).meaning == ""
