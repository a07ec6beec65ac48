"""Gaussian energies: closed forms that follow from mean, variance and log Z."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.rng import normal_like


class GaussianEnergy(nn.Module):
    """Base of the energies with independent Gaussian coordinates; a subclass has `moments` and `log_partition`."""

    event: tuple[int, ...]

    def moments(self, temperature: float) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
        """Return mean and variance of every coordinate under exp(−E/T)/Z."""
        raise NotImplementedError

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        raise NotImplementedError

    def log_z(self, temperature: float) -> float:
        return float(self.log_partition(temperature).detach())

    def draw(self, n: int, temperature: float, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        mean, variance = self.moments(temperature)
        return mean + variance.sqrt() * normal_like(mean.expand(n, *self.event), rng)
