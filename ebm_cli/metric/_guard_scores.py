"""Scores by which held-out rows are told from other rows; a higher score stands for a row of the data."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.energy import SMOOTH, energy_and_grad, frozen, space_of
from ebm_cli.energy._capabilities import Logits, offers
from ebm_cli.metric import EvaluationContext
from ebm_cli.wells.descent import MAX_STATES_PER_CALL, values

ENERGY, GRADIENT_NORM, MAX_SOFTMAX = "energy", "gradient_norm", "max_softmax"
# Prefix of the typicality of a score.
TYPICAL = "typical_"
DESCRIPTIONS = {
    ENERGY: "−E(x)",
    GRADIENT_NORM: "−‖∇E(x)‖",
    MAX_SOFTMAX: "the largest class probability",
    TYPICAL + ENERGY: "−|E(x) − its mean over training rows|",
    TYPICAL + GRADIENT_NORM: "−|‖∇E(x)‖ − its mean over training rows|",
}
# A score of states.
Score = Callable[[Tensor], Float[np.ndarray, " n"]]


def scores_of(context: EvaluationContext) -> dict[str, Score]:
    """Return all scores that the energy has, −E first; typicality only if there are training rows."""
    energy = context.energy
    found: dict[str, Score] = {ENERGY: lambda x: -as_numbers(values(energy, x))}
    if space_of(energy) in SMOOTH:
        found[GRADIENT_NORM] = lambda x: -gradient_norms(context, x)
    typical = {} if context.train is None else {TYPICAL + k: typicality(v, context.train.x) for k, v in found.items()}
    if offers(energy, Logits):
        found[MAX_SOFTMAX] = lambda x: max_softmax(energy, x)
    return found | typical


def typicality(score: Score, train: Tensor) -> Score:
    """Return −|s(x) − mean of s over training rows|, after Nalisnick et al., 2019 (arXiv 1906.02994), for single rows.

    A density can be higher outside of the data than inside, as on constant pictures. Such rows are not typical.
    """
    of_train = score(train)
    center = float(of_train[np.isfinite(of_train)].mean())
    return lambda x: -np.abs(score(x) - center)


def gradient_norms(context: EvaluationContext, x: Tensor) -> Float[np.ndarray, " n"]:
    """Return ‖∇E(x)‖ of each row."""
    with frozen(context.energy):
        parts = [energy_and_grad(context.energy, part)[1] for part in x.split(MAX_STATES_PER_CALL)]
    return np.concatenate([as_numbers(part.flatten(1).norm(dim=1)) for part in parts])


def max_softmax(energy: Logits, x: Tensor) -> Float[np.ndarray, " n"]:
    """Return max_y p(y|x) of each row (Hendrycks and Gimpel, 2017)."""
    with torch.no_grad():
        parts = [energy.logits(part).double().log_softmax(1).amax(1) for part in x.split(MAX_STATES_PER_CALL)]
    return np.concatenate([as_numbers(part.exp()) for part in parts])


def as_numbers(x: Tensor) -> Float[np.ndarray, " n"]:
    """Return a tensor as an array in double precision."""
    return x.double().cpu().numpy()
