"""The base distribution of paths to models of periodic states, whose coordinates are the angles themselves."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.data import _angles
from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._coordinates import StateCoordinates


def angles_path(energy: nn.Module, temperature: float, event: tuple[int, ...]) -> AnnealingPath:
    """Return the densities from independent uniform angles to a model. No fit to rows is needed: nothing is wider."""
    space = StateCoordinates(energy, temperature, event)
    return AnnealingPath(space, UniformAngles(space.center))


class UniformAngles(nn.Module):
    """U₀ = d·log 2π: d independent angles, uniform on the circle. like: a state."""

    description = "independent uniform angles"
    like: Tensor

    def __init__(self, like: Float[Tensor, "*event"]) -> None:
        super().__init__()
        self.register_buffer("like", like, persistent=False)

    def energy_and_grad(self, z: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        return z.new_full((len(z),), self.like.numel() * math.log(_angles.PERIOD)), torch.zeros_like(z)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        return _angles.uniform(n, tuple(self.like.shape), rng, self.like.dtype)
