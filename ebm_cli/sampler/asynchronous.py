"""Asynchronous dynamics of a Hopfield network: one unit after the other, in random order."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE
from ebm_cli.sampler._site_kernel import SiteKernel
from ebm_cli.sampler._site_updates import choose, lowest_values, replace_sites, site_logits


@dataclass(frozen=True)
class Asynchronous(SiteKernel):
    """As many updates as there are sites: a random site takes its value of lowest energy, or is drawn given the others.

    At T = 0 a site changes only if that lowers E, so that E never rises and chains end in a minimum (Hopfield, 1982).
    At T > 0 the site is drawn from p(xᵢ | others) ∝ exp(−E/T), Glauber's dynamics (Glauber, 1963), which leaves
    exp(−E/T) invariant. All chains update the same sites.

    temperature: T (≥ 0).
    """

    adjusted = True
    spaces = DISCRETE

    temperature: float

    def __post_init__(self) -> None:
        check.non_negative("temperature", self.temperature)

    def moved(
        self, energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "n *event"], int]:
        order = torch.randint(sites.count, (sites.count, 1), generator=rng, device=x.device)
        for group in order.unbind(0):
            logits = site_logits(energy, sites, x, group)
            if self.temperature:
                u = torch.rand(logits.shape[:2], generator=rng, dtype=x.dtype, device=x.device)
                numbers = choose(logits / self.temperature, u)
            else:
                numbers = lowest_values(logits, sites.numbers(x, group))
            x = replace_sites(sites, x, group, numbers)
        return x, sites.count
