"""Wolff: one cluster of equal values changes, that of a random site."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE
from ebm_cli.sampler._clusters import clusters
from ebm_cli.sampler._site_kernel import SiteKernel


@dataclass(frozen=True)
class Wolff(SiteKernel):
    """The cluster of a random site takes another value; equal neighbors are joined with probability 1 − exp(−D/T).

    Wolff, 1989; D is the energy of different values of a pair minus that of equal values. Exact, by detailed balance.
    Large clusters are chosen more often than in Swendsen and Wang's algorithm, of which this changes one cluster. For
    energies of pairs that prefer equal values, without a field: ising and potts.

    temperature: T (> 0).
    """

    adjusted = True
    spaces = DISCRETE

    temperature: float

    def __post_init__(self) -> None:
        check.positive("temperature", self.temperature)

    def moved(
        self, energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "n *event"], int]:
        labels, n = clusters(energy, sites, x, self.temperature, rng), len(x)
        seed = torch.randint(sites.count, (n, 1), generator=rng, device=labels.device)
        shift = torch.randint(1, sites.values, (n, 1), generator=rng, device=labels.device)
        changed = labels == labels.gather(1, seed)
        return sites.states((sites.numbers(x) + shift * changed) % sites.values, x.dtype), 1
