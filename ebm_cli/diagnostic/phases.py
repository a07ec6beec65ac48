"""Phases: energies of data, chains and noise during training, and the age of the chains."""

from typing import Any

import numpy as np

from ebm_cli import check
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, Picture, Result, all_refused, refused, show

UNITS: dict[str, str | None] = {"gap": "energy", "noise_gap": "energy", "chain_age": "steps"}
MIN_ROWS, BATCHES = 8, 10
NO_LOG = "these chains have no training log. Type run=RUN of an ebm sample from a trained run"
NO_MODEL_PHASE = (
    "this run was trained without chains, so a model phase to compare with is missing. Type objective=contrastive"
)


class Phases:
    """gap = ⟨E⟩_model − ⟨E⟩_data, noise_gap = ⟨E⟩_noise − ⟨E⟩_data, and chain_age at the end of training.

    Maximum likelihood balances both phases (Hinton, 2002, Neural Computation 14, 1771), so the gap fluctuates around 0.
    An energy that is lower for noise than for data has a valley that no training chain has found. Standard errors are
    from ten batch means of consecutive logged steps, to include the correlation of persistent chains. Caution if the
    gap differs from 0 by more than 4 standard errors and more than T, and if noise is not above the data. Gaps are in
    the energy's units, ages in kernel steps.

    tail_fraction: fraction of the logged steps, at the end, to average over (in (0, 1]).
    """

    def __init__(self, tail_fraction: float) -> None:
        check.fraction("tail_fraction", tail_fraction)
        check.positive("tail_fraction", tail_fraction)
        self.tail_fraction = tail_fraction

    def __call__(self, context: ChainContext) -> Result:
        rows = [row for row in context.history if "e_data" in row]
        if not rows:
            return all_refused(UNITS, NO_LOG)
        last = rows[-max(1, round(self.tail_fraction * len(rows))) :]
        estimates = {
            "gap": energy_gap(last, context.temperature or 1.0),
            "noise_gap": noise_gap(last),
            "chain_age": age(last),
        }
        return Result(estimates, rows, picture)


def energy_gap(rows: list[dict[str, Any]], temperature: float) -> Estimate:
    """Return ⟨E⟩_model − ⟨E⟩_data."""
    values = [row["e_model"] - row["e_data"] for row in rows if "e_model" in row]
    if not values:
        return refused(NO_MODEL_PHASE, "energy")
    estimate = mean_of_consecutive(values)
    if not isinstance(estimate.value, float) or not isinstance(estimate.se, float):
        return estimate
    if abs(estimate.value) <= max(4 * estimate.se, temperature):
        return estimate.with_meaning("the two phases are balanced (0 is perfect)")
    above = estimate.value > 0
    remedy = "Increase objective.steps" if above else "Train longer, or decrease optimizer.lr"
    reason = f"the phases are not balanced: chains have a {'higher' if above else 'lower'} energy than data. {remedy}"
    return estimate.with_meaning("the two phases are not balanced (0 is perfect)").with_caution([reason])


def noise_gap(rows: list[dict[str, Any]]) -> Estimate:
    """Return ⟨E⟩_noise − ⟨E⟩_data."""
    values = [row["e_noise"] - row["e_data"] for row in rows if "e_noise" in row]
    if not values:
        old = "this run was trained by an older version that did not log the energy of noise"
        return refused(f"{old}. Retrain to get this value", "energy")
    estimate = mean_of_consecutive(values)
    if not isinstance(estimate.value, float) or estimate.value > 0:
        return estimate
    valley = "noise does not have a higher energy than the data: it is in a valley that no chain found"
    return estimate.with_caution([f"{valley}. Type start=noise, or start.restart with a value > 0"])


def age(rows: list[dict[str, Any]]) -> Estimate:
    """Return the mean age of the chains at the last logged step."""
    ages = [row["chain_age"] for row in rows if "chain_age" in row]
    return Estimate(float(ages[-1]), unit="steps") if ages else refused(NO_MODEL_PHASE, "steps")


def mean_of_consecutive(values: list[float]) -> Estimate:
    """Return the mean of consecutive values with the standard error of batch means."""
    if len(values) < MIN_ROWS:
        few = f"{len(values)} logged steps are fewer than the {MIN_ROWS} needed"
        return refused(f"{few}. Increase trainer.steps or decrease trainer.log_every", "energy")
    means = np.array([batch.mean() for batch in np.array_split(np.array(values), min(BATCHES, len(values) // 2))])
    return Estimate(float(np.mean(values)), se=float(means.std(ddof=1) / len(means) ** 0.5), unit="energy")


def picture(result: Result) -> Picture:
    """Draw the energies of the phases and of noise (left), and the age of the chains (right)."""
    from ebm_cli import figure

    rows, estimates = result.arrays, result.estimates
    drawn, (left, right) = figure.new(2, width=8.4, height=3.2)
    shown = [name for name in ("e_data", "e_model", "e_noise") if any(name in row for row in rows)]
    labels = {"e_data": "data", "e_model": "model's chains", "e_noise": "noise"}
    colors = {"e_data": figure.BLUE, "e_model": figure.ORANGE, "e_noise": figure.PURPLE}
    for name in shown:
        figure.curve(left, rows, name, labels[name], colors[name])
    left.set(xlabel="training step", ylabel="mean energy E", ylim=figure.limits_after_transient(rows, *shown))
    left.legend()
    if any("chain_age" in row for row in rows):
        figure.curve(right, rows, "chain_age", "mean age", figure.GREEN)
    right.set(xlabel="training step", ylabel="age of chains, kernel steps")
    gap, noise = (show(estimates[name].value, estimates[name].se) for name in ("gap", "noise_gap"))
    return drawn, (
        "Mean energies during training (left) and the mean age of the chains (right). At the end the model's chains "
        f"are {gap} above the data, and noise is {noise} above them. Look for data and model energies close together, "
        "noise clearly above both, and chain ages much longer than the autocorrelation time."
    )
