"""Negative log-likelihood of held-out rows, with the certificate that its log Z has."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate, refused
from ebm_cli.finding import Finding
from ebm_cli.metric import Subject
from ebm_cli.partition.recipe import Recipe
from ebm_cli.wells import values


class NLL:
    """nll = ⟨E(x)/T⟩ + log Z(T) in nats a row, x the held-out rows; nll_train the same of training rows.

    bits_per_dim = nll/(d·log 2). All are of a density over rows as the model sees them: with the data's noise σ added,
    in the model's units (pictures in [−1, 1]), so that they compare with other densities of the same noised rows and
    with no code length of whole grey levels. se is of the rows alone, sd(E/T)/√n; lower (optimistic) and upper
    (pessimistic) put the ends of log Z in the place of its value, see `log_z`. Rows without noise that lie in a lower
    dimension, or repeat, have no density to score.

    method, chains, temperatures, leapfrog_steps, steps: of log Z, found once where metric.log_z has the same ones.
    """

    needs_samples = False

    def __init__(self, method: str, chains: int, temperatures: int, leapfrog_steps: int, steps: int) -> None:
        self.recipe = Recipe(method, chains, temperatures, leapfrog_steps, steps)

    def __call__(self, subject: Subject) -> Finding:
        if subject.data is None or subject.held_out is None or subject.train is None:
            raise InputError("needs data to score: run=RUN of a trained model, or data=NAME")
        told = self.recipe in subject.partitions
        found = subject.log_z(self.recipe)
        bits = 1 / (math.prod(subject.event) * math.log(2))
        nll = scored(subject, subject.held_out.x, found.estimate, 1.0, "nats")
        estimates = {
            "nll": nll,
            "nll_train": scored(subject, subject.train.x, found.estimate, 1.0, "nats"),
            "bits_per_dim": scored(subject, subject.held_out.x, found.estimate, bits, "bits"),
        }
        σ = subject.data.noise
        carried = f"rows with the data's noise, σ = {σ:g}" if σ else "rows, which carry no noise"
        return Finding(
            estimates, notes=[f"nll: of {len(subject.held_out.x)} held-out {carried}", *([] if told else found.notes)]
        )


def scored(subject: Subject, x: Float[Tensor, "n *event"], log_z: Estimate, factor: float, unit: str) -> Estimate:
    """The rows' ⟨E/T⟩ + log Z times `factor`, with the ends and the verdict of log Z."""
    if not isinstance(log_z.value, float):
        return refused(f"no log Z: {log_z.reason}", unit)
    e = values(subject.energy, x).double() / subject.temperature
    if not bool(torch.isfinite(e).all()):
        return refused(f"the energy of {int((~e.isfinite()).sum())} of {len(e)} rows is not finite", unit)
    mean, se = float(e.mean()), float(e.std() / len(e) ** 0.5) if len(e) > 1 else None

    def total(log_z: float | None) -> float | None:
        return None if log_z is None else factor * (mean + log_z)

    return Estimate(
        factor * (mean + log_z.value),
        se=None if se is None else factor * se,
        lower=total(log_z.lower),
        upper=total(log_z.upper),
        unit=unit,
        verdict=log_z.verdict,
        reason=f"log Z: {log_z.reason}" if log_z.verdict == "caution" else "",
    )
