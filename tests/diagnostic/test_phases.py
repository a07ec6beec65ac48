"""Phases: the energies of both phases and of noise in a training log, and refusal without a log."""

import numpy as np
import pytest

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate
from tests.contract import build
from tests.diagnostic.ar1 import ar1

STEPS = 400


def log(gap: float = 0.0, noise: float = 30.0, seed: int = 0, rho: float = 0.0) -> list[dict[str, float]]:
    """A log whose last tenth has this gap on average, under noise of autocorrelation rho."""
    wiggle = ar1(rho, 1, STEPS, seed)[0]
    return [
        {"step": i, "e_data": -5.0, "e_model": -5.0 + gap + wiggle[i], "e_noise": -5.0 + noise, "chain_age": 10.0 * i}
        for i in range(STEPS)
    ]


def found(history: list[dict[str, float]], share: float = 0.5) -> dict[str, Estimate]:
    patient = ChainContext(Chains(x=np.zeros((2, 4, 1))), temperature=1.0, history=history)
    return build("diagnostic", "phases", {"tail_fraction": share})(patient).estimates


def test_balanced_phases_are_ok() -> None:
    rows = found(log())
    assert {row.verdict for row in rows.values()} == {"ok"}
    assert abs(rows["gap"].value) < 4 * rows["gap"].se
    assert rows["chain_age"].value == 10.0 * (STEPS - 1) and rows["noise_gap"].value == 30.0


@pytest.mark.parametrize(("gap", "mend"), [(5.0, "objective.steps"), (-5.0, "Train longer")])
def test_a_gap_away_from_0_is_under_caution(gap: float, mend: str) -> None:
    row = found(log(gap=gap))["gap"]
    assert row.verdict == "caution" and mend in row.reason


def test_noise_below_the_data_is_under_caution() -> None:
    row = found(log(noise=-1.0))["noise_gap"]
    assert row.verdict == "caution" and "valley" in row.reason


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_stated_error_of_the_gap_is_the_real_one(rho: float) -> None:
    seeds = 60
    rows = [found(log(seed=seed, rho=rho))["gap"] for seed in range(seeds)]
    z = np.array([row.value / row.se for row in rows])
    # Ten batch means: Student's t of nine degrees of freedom has a standard deviation of 1.13.
    assert 0.7 < z.std() / 1.13 < 1 + 4 / np.sqrt(2 * seeds)


def test_without_a_log_all_is_refused_with_what_mends_it() -> None:
    for row in found([]).values():
        assert row.verdict == "refused" and "run=RUN" in row.reason


def test_training_without_chains_has_no_gap() -> None:
    rows = found([{"step": i, "e_data": 1.0, "e_noise": 9.0} for i in range(STEPS)])
    assert rows["gap"].verdict == rows["chain_age"].verdict == "refused"
    assert rows["noise_gap"].verdict == "ok"


def test_a_log_of_few_lines_is_refused() -> None:
    row = found(log()[:6], share=1.0)["gap"]
    assert row.verdict == "refused" and "trainer.steps" in row.reason
