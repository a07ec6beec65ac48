"""A path in whitened coordinates, whose evaluations of the model are charged to a budget."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.energy import check_bounded
from ebm_cli.path._annealing_path import AnnealingPath, PathStates, TemperedEnergy
from ebm_cli.path._coordinates import WhitenedEnergy


@dataclass(frozen=True)
class CountedPath(AnnealingPath):
    """budget: charged for every evaluation of U's gradient."""

    space: WhitenedEnergy
    budget: Budget

    def evaluate(self, z: Float[Tensor, "n d"]) -> PathStates:
        """Return states with both energies and gradients; raise InputError if U is −∞."""
        self.budget.charge(len(z))
        states = super().evaluate(z)
        if bool((states.u == -torch.inf).any()):
            check_bounded(states.u, self.space.states(z))
        return states


class CountedEnergy(TemperedEnergy):
    """The energy U_β of a path that also charges the budget for evaluations without a gradient."""

    path: CountedPath

    def forward(self, y: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        self.path.budget.charge(len(y))
        return super().forward(y)
