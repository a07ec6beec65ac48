"""Wolff: one cluster of equal values changes, that of a random site."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import DISCRETE
from ebm_cli.sampler import EnergyState, Info, State, unadjusted_info
from ebm_cli.sampler._clusters import clusters
from ebm_cli.sampler._site_updates import sites_of


@dataclass(frozen=True)
class Wolff:
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

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> EnergyState:  # noqa: ARG002
        return EnergyState(x, energy(x))

    def step(self, energy: nn.Module, state: State | EnergyState, rng: torch.Generator) -> tuple[EnergyState, Info]:
        sites, n = sites_of(energy, state.x), len(state.x)
        labels = clusters(energy, sites, state.x, self.temperature, rng)
        seed = torch.randint(sites.count, (n, 1), generator=rng, device=labels.device)
        shift = torch.randint(1, sites.values, (n, 1), generator=rng, device=labels.device)
        changed = labels == labels.gather(1, seed)
        numbers = (sites.numbers(state.x) + shift * changed) % sites.values
        x = sites.states(numbers, state.x.dtype)
        e = energy(x)
        return EnergyState(x, e), unadjusted_info(e, 1)
