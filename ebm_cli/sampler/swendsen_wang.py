"""Swendsen-Wang: every cluster of equal values takes a new value."""

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
class SwendsenWang(SiteKernel):
    """Equal neighbors are joined with probability 1 − exp(−D/T), and each cluster takes a value at random.

    Swendsen and Wang, 1987; D is the energy of different values of a pair minus that of equal values. Exact: values and
    joins have the joint density of Edwards and Sokal, 1988, and each is drawn given the other. Near the critical
    temperature its autocorrelation grows much more slowly with the size of a lattice than that of single sites. For
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
        labels = clusters(energy, sites, x, self.temperature, rng)
        # As many values as there could be clusters.
        values = torch.randint(sites.values, (labels.numel(),), generator=rng, device=labels.device)
        return sites.states(values[labels], x.dtype), 1
