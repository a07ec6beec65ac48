"""Chains that start at noise: the short-run generator, and a test of a trained energy without help from data."""

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.energy import BINARY, CONTINUOUS, space_of
from ebm_cli.start import InitialStates, Memoryless, noise_law, noise_name, noise_states


class Noise(Memoryless):
    """x₀ uniform on [−scale, scale]^d or N(0, scale²I), drawn for each chain; fair coins if states are binary.

    With a fixed number of steps K this is the short-run generator x_K = G_θ(x₀, ξ) of Nijkamp et al., 2019
    (arXiv 1904.09770).

    distribution: uniform or normal.
    scale: in units of x (> 0).
    """

    spaces = CONTINUOUS | BINARY

    def __init__(self, distribution: str, scale: float, event: tuple[int, ...], energy: nn.Module | None) -> None:
        check.one_of("distribution", distribution, ["uniform", "normal"])
        check.positive("scale", scale)
        self.distribution = noise_law(distribution, space_of(energy))
        self.scale = scale
        self.event = event

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:  # noqa: ARG002
        return InitialStates.unaged(
            noise_states(n, self.event, self.distribution, self.scale, rng, torch.get_default_dtype())
        )

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        return f"they start from {noise_name(self.distribution, self.scale)} in every step"
