"""Chains that start at noise: the short-run generator, and a test of a trained energy without help from data."""

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.energy import space_of
from ebm_cli.start import InitialStates, Memoryless, NoiseLaw


class Noise(Memoryless):
    """x₀ uniform on [−scale, scale]^d or N(0, scale²I), drawn for each chain; discrete sites are uniform.

    With a fixed number of steps K this is the short-run generator x_K = G_θ(x₀, ξ) of Nijkamp et al., 2019
    (arXiv 1904.09770).

    distribution: uniform or normal.
    scale: in units of x (> 0).
    """

    def __init__(self, distribution: str, scale: float, event: tuple[int, ...], energy: nn.Module | None) -> None:
        check.one_of("distribution", distribution, ["uniform", "normal"])
        check.positive("scale", scale)
        self.noise = NoiseLaw(space_of(energy), distribution, scale)
        self.event = event

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:  # noqa: ARG002
        return InitialStates.unaged(self.noise.draw(n, self.event, rng, torch.get_default_dtype()))

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        return f"they start from {self.noise.description(self.event)} in every step"
