"""A path through anchors: energies from a base distribution to the model, between which the path is linear."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.path._annealing_path import AnnealingPath, PathStates, TemperedEnergy
from ebm_cli.path._base_distribution import BaseDistribution
from ebm_cli.path._coordinates import WhitenedEnergy
from ebm_cli.path._places import place_of


@dataclass(frozen=True)
class PiecewisePath:
    """U_λ = (1 − β)Uᵐ + βUᵐ⁺¹ with m + β = λM, for anchors U⁰, the base, to Uᴹ, the model.

    segments: from the base to the model. The base of each segment is the model of the one below. All have the same
        coordinates.
    """

    segments: tuple[AnnealingPath, ...]

    @staticmethod
    def through(base: BaseDistribution, anchors: Sequence[WhitenedEnergy]) -> "PiecewisePath":
        """Return the path from the base through all anchors to the last one, which is the model."""
        return PiecewisePath(
            tuple(AnnealingPath(upper, lower) for lower, upper in zip([base, *anchors[:-1]], anchors, strict=True))
        )

    @property
    def space(self) -> WhitenedEnergy:
        """Return the model."""
        space = self.segments[-1].space
        assert isinstance(space, WhitenedEnergy)
        return space

    @property
    def base(self) -> BaseDistribution:
        """Return the base."""
        base = self.segments[0].base
        assert isinstance(base, BaseDistribution)
        return base

    def energy_at(self, beta: float, lengths: Tensor | None = None) -> TemperedEnergy:
        """Return the energy at β of the whole path, as a function of z/s for lengths s if they are given."""
        place = place_of(beta, len(self.segments))
        segment = self.segments[place.segment]
        return (segment.without_base() if place.is_inner_anchor else segment).energy_at(place.beta, lengths)

    def anchor(self, number: int) -> BaseDistribution | WhitenedEnergy:
        """Return Uᵐ, by its number m from 0, the base."""
        space = self.segments[number - 1].space
        assert isinstance(space, WhitenedEnergy)
        return space if number else self.base

    def with_anchors(self, kept: Sequence[int]) -> "PiecewisePath":
        """Return the path through these anchors only, by their numbers."""
        anchors = [self.anchor(number) for number in kept[1:]]
        return PiecewisePath.through(self.base, [each for each in anchors if isinstance(each, WhitenedEnergy)])

    def draw_base(self, n: int, rng: torch.Generator) -> PathStates:
        """Return exact draws of the base, as states of the first segment."""
        return self.segments[0].draw_base(n, rng)


class JoinedEnergy(nn.Module):
    """The energies of consecutive rows. parts: the energy of each group of rows. sizes: number of rows of each."""

    def __init__(self, parts: list[TemperedEnergy], sizes: list[int]) -> None:
        super().__init__()
        self.parts, self.sizes = nn.ModuleList(parts), sizes

    def forward(self, y: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return torch.cat([part(rows) for part, rows in zip(self.parts, y.split(self.sizes), strict=True)])

    def energy_and_grad(self, y: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        found = [part.energy_and_grad(rows) for part, rows in zip(self.parts, y.split(self.sizes), strict=True)]  # pyright: ignore[reportCallIssue]
        return torch.cat([e for e, _ in found]), torch.cat([grad for _, grad in found])
