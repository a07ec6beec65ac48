"""The likelihoods of the model and of each baseline: the rows of the picture."""

from dataclasses import dataclass

import numpy as np

from ebm_cli.data import Split
from ebm_cli.density import Baseline
from ebm_cli.estimate import Estimate


@dataclass(frozen=True)
class LikelihoodRow:
    """The likelihood of one density, in nats per row. Values are None if unknown.

    words: a description of the density.
    held_out, se: mean log-density of held-out rows and its standard error over the rows.
    lower, upper: the same mean with the bounds of log Z.
    train: mean log-density of training rows.
    seconds: duration of the fit.
    model: True for the model that the others are compared with.
    """

    words: str
    held_out: float
    se: float | None
    lower: float | None
    upper: float | None
    train: float | None
    seconds: float | None
    model: bool


def likelihood_row(words: str, nll: Estimate, train: float | None, seconds: float | None) -> list[LikelihoodRow]:
    """Return the row of a density with this negative log-likelihood; an empty list if it is refused.

    seconds: duration of the fit; None for the model.
    """
    if not isinstance(nll.value, float):
        return []
    lower, upper = (None if bound is None else -bound for bound in (nll.upper, nll.lower))
    se = nll.se if isinstance(nll.se, float) else None
    return [LikelihoodRow(words, -nll.value, se, lower, upper, train, seconds, model=seconds is None)]


def likelihood_rows(
    estimates: dict[str, Estimate], baselines: list[tuple[Baseline, dict[Split, np.ndarray]]]
) -> list[LikelihoodRow]:
    """Return the rows of the model and of each baseline, given their estimates and the baselines' log-densities."""
    train = estimates["nll_train"].value
    rows = likelihood_row("this model", estimates["nll"], -train if isinstance(train, float) else None, None)
    for baseline, scores in baselines:
        nll = estimates[f"nll_{baseline.name}"]
        rows += likelihood_row(baseline.words, nll, float(scores["train"].mean()), baseline.seconds)
    return rows
