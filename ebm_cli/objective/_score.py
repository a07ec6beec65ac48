"""Parts of score matching objectives: the differentiable gradient, the outcome and the Fisher divergence."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data, KnownDensity
from ebm_cli.data._rows import available_rows
from ebm_cli.energy import SMOOTH, energy_and_grad, frozen
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.sampler import Sampler

# Data repeat if the fraction of distinct rows is lower, or if a coordinate has few values with several rows each.
MIN_DISTINCT_FRACTION = 0.95
MAX_REPEATED_VALUES, MIN_ROWS_PER_VALUE = 64, 4


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


def differentiable_grad(
    energy: nn.Module, x: Float[Tensor, "n *event"], **condition: Any
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """Return x as a variable, E(x), and ∇E(x) that can be differentiated again."""
    x = x.detach().requires_grad_(True)
    e = energy(x, **condition)
    (grad,) = torch.autograd.grad(e.sum(), x, create_graph=True)
    return x, e, grad


def squared_norm(grad: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Return ‖∇E‖² per row."""
    return grad.flatten(1).square().sum(1)


def fisher_divergence(energy: nn.Module, x: Float[Tensor, "n *event"], data: KnownDensity, T: float) -> Tensor:
    """Return ½ mean ‖∇log p(x) + ∇E(x)/T‖² over samples of data with density p; 0 only for the true energy."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (score,) = torch.autograd.grad(data.log_prob(x).sum(), x)
    with frozen(energy):
        _, grad = energy_and_grad(energy, x)
    return 0.5 * squared_norm(score + grad / T).mean()


def refuse_repeats(data: Data) -> None:
    """Raise InputError for data without noise whose rows, or values of a coordinate, repeat.

    On repeated values E'' grows without bound and the loss of score matching falls to −∞.
    """
    if data.noise > 0 or not data.finite:
        return
    rows = available_rows(data).x.flatten(1)
    n_distinct, n_values = len(rows.unique(dim=0)), min(len(column.unique()) for column in rows.T)
    if n_distinct < MIN_DISTINCT_FRACTION * len(rows):
        what = f"only {n_distinct} of {len(rows)} rows differ"
    elif n_values <= MAX_REPEATED_VALUES and MIN_ROWS_PER_VALUE * n_values <= len(rows):
        what = f"a coordinate has only {n_values} values in {len(rows)} rows"
    else:
        return
    raise InputError(
        f"data.noise must be > 0 for score matching: it does not have a minimum for these data, because {what}. Try "
        "data.noise=0.1"
    )
