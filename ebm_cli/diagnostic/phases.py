"""Phases: the energies of data, of the model's chains and of noise over training, and how old the chains became."""

from typing import Any

import numpy as np

from ebm_cli import check, figure
from ebm_cli.diagnostic import Patient
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.figure.finding import Finding

LEAST_ROWS, BATCHES = 8, 10


class Phases:
    """gap = ⟨E⟩_model − ⟨E⟩_data and noise_gap = ⟨E⟩_noise − ⟨E⟩_data over the last of training; chain_age at its end.

    Maximum likelihood balances both phases (Hinton, 2002, Neural Computation 14, 1771), so that the gap hovers around
    0; an energy that puts noise below the data has a valley that no training chain has found. Errors are of ten batch
    means of consecutive logged steps, so that the memory of persistent chains counts. Caution where the gap is off by
    more than 4 standard errors and more than T, and where noise is not above the data. Gaps are in the energy's units,
    ages in kernel steps.

    share: of the logged steps, the last ones, that are averaged, in (0, 1].
    """

    def __init__(self, share: float) -> None:
        check.share("share", share)
        check.positive("share", share)
        self.share = share

    def __call__(self, patient: Patient) -> Finding:
        names = {"gap": "energy", "noise_gap": "energy", "chain_age": "steps"}
        rows = [row for row in patient.history if "e_data" in row]
        if not rows:
            reason = "no training log belongs to these chains: use run=RUN of an ebm sample from a trained run"
            return Finding({name: refused(reason, unit) for name, unit in names.items()})
        last = rows[-max(1, round(self.share * len(rows))) :]
        estimates = {
            "gap": self._gap(last, patient.temperature or 1.0),
            "noise_gap": self._noise_gap(last),
            "chain_age": self._age(last),
        }
        return Finding(estimates, *picture(rows, estimates))

    def _gap(self, rows: list[dict[str, Any]], temperature: float) -> Estimate:
        values = [row["e_model"] - row["e_data"] for row in rows if "e_model" in row]
        if not values:
            return refused("this training has no chains, so no second phase: objective=contrastive has", "energy")
        estimate = averaged(values)
        if estimate.value is None:
            return estimate
        assert isinstance(estimate.value, float) and isinstance(estimate.se, float)
        if abs(estimate.value) > max(4 * estimate.se, temperature):
            side = "above" if estimate.value > 0 else "below"
            mend = "raise objective.steps" if estimate.value > 0 else "train longer, or lower optimizer.lr"
            estimate = estimate.with_meaning("the two phases are not balanced (0 is perfect)")
            return estimate.with_caution([f"the phases are not balanced, chains lie {side} the data: {mend}"])
        return estimate.with_meaning("the two phases are balanced (0 is perfect)")

    def _noise_gap(self, rows: list[dict[str, Any]]) -> Estimate:
        values = [row["e_noise"] - row["e_data"] for row in rows if "e_noise" in row]
        if not values:
            return refused("this training logged no energy of noise: it is older than that; train anew", "energy")
        estimate = averaged(values)
        if isinstance(estimate.value, float) and estimate.value <= 0:
            mend = "use start=noise, or start.restart > 0"
            return estimate.with_caution(
                [f"noise lies no higher than the data, in a valley that no chain found: {mend}"]
            )
        return estimate

    def _age(self, rows: list[dict[str, Any]]) -> Estimate:
        ages = [row["chain_age"] for row in rows if "chain_age" in row]
        if not ages:
            return refused("this training has no chains: objective=contrastive has", "steps")
        return Estimate(float(ages[-1]), unit="steps")


def averaged(values: list[float]) -> Estimate:
    """The mean of consecutive values, with the error of batch means."""
    if len(values) < LEAST_ROWS:
        return refused(
            f"{len(values)} logged steps are fewer than the {LEAST_ROWS} needed: raise trainer.steps or lower "
            "trainer.log_every",
            "energy",
        )
    means = np.array([batch.mean() for batch in np.array_split(np.array(values), min(BATCHES, len(values) // 2))])
    return Estimate(float(np.mean(values)), se=float(means.std(ddof=1) / len(means) ** 0.5), unit="energy")


def picture(rows: list[dict[str, Any]], estimates: dict[str, Estimate]) -> tuple["figure.Figure", str]:
    """Energies of the phases and of noise (left), and the age of the chains (right)."""
    drawn, (left, right) = figure.new(2, width=8.4, height=3.2)
    shown = [name for name in ("e_data", "e_model", "e_noise") if any(name in row for row in rows)]
    labels = {"e_data": "data", "e_model": "model's chains", "e_noise": "noise"}
    colours = {"e_data": figure.BLUE, "e_model": figure.ORANGE, "e_noise": figure.PURPLE}
    for name in shown:
        figure.curve(left, rows, name, labels[name], colours[name])
    left.set(xlabel="training step", ylabel="mean energy E", ylim=figure.settled(rows, *shown))
    left.legend()
    if any("chain_age" in row for row in rows):
        figure.curve(right, rows, "chain_age", "mean age", figure.GREEN)
    right.set(xlabel="training step", ylabel="age of chains, kernel steps")
    gap, noise = (show(estimates[name].value, estimates[name].se) for name in ("gap", "noise_gap"))
    caption = (
        f"Mean energies over training (left): at its end the model's chains lie {gap} above the data, noise {noise}; "
        "and the chains' mean age (right). Good: data and chains together, noise well above both, and ages that are "
        "long beside the time in which a chain forgets."
    )
    return drawn, caption
