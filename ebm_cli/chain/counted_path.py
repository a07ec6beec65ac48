"""A path in whitened coordinates, whose evaluations of the model are charged to a budget."""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.energy import check_bounded
from ebm_cli.path._annealing_path import AnnealingPath, PathStates, TemperedConditionals, TemperedEnergy
from ebm_cli.path._coordinates import StateCoordinates, WhitenedEnergy
from ebm_cli.path._piecewise_path import PiecewisePath

# Coordinates of paths whose evaluations are counted.
PathCoordinates = WhitenedEnergy | StateCoordinates


@dataclass(frozen=True)
class CountedPath(AnnealingPath):
    """budget: charged for every evaluation of the gradient of U, and of U₀ if it is a model as well."""

    space: PathCoordinates
    budget: Budget

    @property
    def segments(self) -> "tuple[CountedPath, ...]":
        return (self,)

    def evaluate_model(self, z: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        self.budget.charge(len(z))
        return super().evaluate_model(z)

    def evaluate_base(self, z: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        if isinstance(self.base, WhitenedEnergy):
            self.budget.charge(len(z))
        return super().evaluate_base(z)

    def evaluate(self, z: Float[Tensor, "n *d"]) -> PathStates:
        """Return states with both energies and gradients; raise InputError if U is −∞."""
        states = super().evaluate(z)
        if bool((states.u == -torch.inf).any()):
            check_bounded(states.u, self.space.states(z))
        return states


@dataclass(frozen=True)
class CountedPiecewisePath(PiecewisePath):
    """A path through several models. Its segments are charged to one budget."""

    segments: tuple[CountedPath, ...]

    @property
    def budget(self) -> Budget:
        """Return the budget of the segments."""
        return self.segments[0].budget


AnyCountedPath = CountedPath | CountedPiecewisePath


def counted(path: AnnealingPath | PiecewisePath, budget: Budget) -> AnyCountedPath:
    """Return the same path, whose evaluations are charged to a budget."""
    segments = tuple(CountedPath(cast(PathCoordinates, each.space), each.base, budget) for each in path.segments)
    return segments[0] if len(segments) == 1 else CountedPiecewisePath(segments)


class CountedEnergy(TemperedEnergy):
    """The energy U_β of a path that also charges the budget for evaluations without a gradient."""

    path: CountedPath

    def forward(self, y: Float[Tensor, "n *d"]) -> Float[Tensor, " n"]:
        self.path.budget.charge(len(y))
        return super().forward(y)


class CountedConditionals(CountedEnergy, TemperedConditionals):
    """The same, with the conditional distributions that the model gives."""


def counted_model(path: CountedPath) -> CountedEnergy:
    """Return the model's energy, U, whose evaluations are charged."""
    model = path.without_base()
    return (CountedConditionals if model.has_conditionals else CountedEnergy)(model, 1.0)
