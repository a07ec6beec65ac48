"""Base of the objectives of discrete states that compare each site with its other values, given all other sites."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.sampler import Sampler
from ebm_cli.sampler._site_updates import site_logits


class ConditionalObjective(Objective):
    """loss = mean over rows of Σᵢ f(log p(xᵢ = a | others) for all a, xᵢ), without chains and without log Z.

    The sum over sites is estimated without bias from `sites` of them, drawn at each step for all rows. An energy that
    gives no conditional distributions is evaluated for every value of each of these sites.

    sites: number of sites per step (≥ 1); all if states have fewer.
    """

    spaces = DISCRETE
    has_chains = False

    def __init__(self, sites: int, event: tuple[int, ...], sampler: Sampler) -> None:
        super().__init__()
        check.count("sites", sites)
        self.sites, self.event = sites, event
        self.temperature = temperature_of(sampler)

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        loss = self.row_losses(energy, batch.x, rng).mean()
        return Outcome(loss=loss, x_data=batch.x, e_data=energy(batch.x), clean=batch.clean)

    def row_losses(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, " n"]:
        """Return the loss of each row."""
        sites = Sites(space_of(energy), tuple(self.event))
        m = min(self.sites, sites.count)
        group = torch.randperm(sites.count, generator=rng, device=x.device)[:m]
        logits = site_logits(energy, sites, x, group) / self.temperature
        losses = self.site_losses(logits.log_softmax(2), sites.numbers(x)[:, group])
        return losses.sum(1) * (sites.count / m)

    @abstractmethod
    def site_losses(self, log_p: Float[Tensor, "n m k"], own: Int[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Return the loss of each site, given log p of its values given all other sites, and its own value."""


def of_own(log_p: Float[Tensor, "n m k"], own: Int[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Return log p of the value that each site has."""
    return log_p.gather(2, own[..., None])[..., 0]


def log_ratios(log_p: Float[Tensor, "n m k"], own: Int[Tensor, "n m"]) -> Float[Tensor, "n m k"]:
    """Return log p(a)/p(xᵢ) of every other value a of each site, and −∞ for its own."""
    ratios = log_p - of_own(log_p, own)[..., None]
    return ratios.scatter(2, own[..., None], -math.inf)
