"""Parts of score matching objectives: the outcome, the Fisher divergence, and the data that they refuse."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data, KnownDensity
from ebm_cli.data._repeats import repeated_values
from ebm_cli.energy import SMOOTH
from ebm_cli.energy._score import score_difference, squared_norm
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.sampler import Sampler


class ScoreLoss(NamedTuple):
    """A loss, and E and ∇E at the states where the loss uses them."""

    loss: Float[Tensor, ""]
    e: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


class ScoreObjective(Objective):
    """Base of the objectives that compare −∇E/T with the score of the data; a subclass provides `loss`.

    Integration by parts, by which these losses need no score of the data, has no boundary terms on a circle either.
    """

    spaces = SMOOTH
    has_chains = False

    def __init__(self, data: Data, sampler: Sampler) -> None:
        super().__init__()
        self.data = data
        self.temperature = temperature_of(sampler)

    def loss(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> ScoreLoss:
        """Return the loss of a batch."""
        raise NotImplementedError

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        loss, e, grad = self.loss(energy, batch, rng)
        data, T = self.data, self.temperature
        outcome = Outcome(loss, batch.x, e, clean=batch.clean)
        outcome.scalars["input_grad_norm"] = squared_norm(grad.detach()).sqrt().mean()
        if isinstance(data, KnownDensity):
            outcome.measures["fisher_divergence"] = lambda: fisher_divergence(energy, batch.x, data, T)
        return outcome


def fisher_divergence(energy: nn.Module, x: Float[Tensor, "n *event"], data: KnownDensity, T: float) -> Tensor:
    """Return ½ mean ‖∇log p(x) + ∇E(x)/T‖² over samples of data with density p; 0 only for the true energy."""
    return 0.5 * squared_norm(score_difference(energy, x, data.log_prob, T)).mean()


def refuse_repeats(data: Data) -> None:
    """Raise InputError for data without noise whose rows, or values of a coordinate, repeat.

    On repeated values E'' grows without bound and the loss of score matching falls to −∞.
    """
    if what := repeated_values(data):
        raise InputError(
            "data.noise must be > 0 for score matching: it does not have a minimum for these data, because "
            f"{what}. Try data.noise=0.1"
        )
