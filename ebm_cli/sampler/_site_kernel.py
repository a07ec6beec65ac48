"""Base of the kernels of discrete states that use no gradient: new sites are drawn, and E is evaluated once."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.data._sites import Sites
from ebm_cli.sampler import EnergyState, Info, State, unadjusted_info
from ebm_cli.sampler._site_updates import sites_of


class SiteKernel(ABC):
    """A kernel that leaves exp(−E/T) invariant without a test, because it draws sites given all others."""

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> EnergyState:  # noqa: ARG002
        return EnergyState(x, energy(x))

    def step(self, energy: nn.Module, state: State | EnergyState, rng: torch.Generator) -> tuple[EnergyState, Info]:
        x, evaluations = self.moved(energy, sites_of(energy, state.x), state.x, rng)
        e = energy(x)
        return EnergyState(x, e), unadjusted_info(e, evaluations)

    @abstractmethod
    def moved(
        self, energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "n *event"], int]:
        """Return the states after one step, and the number of evaluations that it counts as."""
