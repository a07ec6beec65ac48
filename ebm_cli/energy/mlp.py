"""Multilayer perceptron energy: states of any shape, without assumed structure."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._confined import ConfinedNetwork
from ebm_cli.energy._network import apply_spectral_norm, perceptron


class MLP(ConfinedNetwork):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a perceptron with SiLU units.

    A perceptron fits slow variation first, and sharp edges hardly at all. With Fourier features of x in addition to x
    (Tancik et al., 2020, arXiv 2006.10739), it can fit both.

    width: units per hidden layer (≥ 1).
    depth: number of hidden layers (≥ 1).
    frequencies: number of Fourier features (≥ 0). Of angles they are features of cosines and sines.
    bandwidth: standard deviation of their frequencies, in radians per unit of x (> 0).
    noise_level: default σ of the noise-level input log σ (> 0), or None for no such input.
    confinement, base_components, event: defined in `ConfinedNetwork`.
    spectral_norm: factor of f after spectral normalization (> 0), or None for no normalization.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        frequencies: int,
        bandwidth: float,
        noise_level: float | None,
        confinement: float,
        base_components: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        check.count("frequencies", frequencies, minimum=0)
        check.positive("bandwidth", bandwidth)
        if noise_level is not None:
            check.positive("noise_level", noise_level)
        super().__init__(width, depth, confinement, base_components, event, data)
        self.noise_level = noise_level
        size = self.circles * math.prod(event)
        self.waves = FourierFeatures(size, frequencies, bandwidth) if frequencies else None
        self.net = perceptron(size + 2 * frequencies + (noise_level is not None), width, depth, 1)
        self.scale = apply_spectral_norm(self, spectral_norm)

    def forward(
        self, x: Float[Tensor, "n *event"], condition: Float[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        h = self.inputs(x).flatten(1)
        h = h if self.waves is None else self.waves(h)
        if self.noise_level is not None:
            σ = h.new_full((len(h),), self.noise_level) if condition is None else condition
            h = torch.cat([h, σ.log()[:, None]], 1)
        return self.scale * self.net(h).squeeze(1) + self.confining(x)

    def receptive_fields(self) -> Float[Tensor, "m *event"]:
        """Return the weights of the first layer; those of Fourier features and of the noise level are left out."""
        first = self.net[0]
        assert isinstance(first, nn.Linear)
        return first.weight.detach()[:, : math.prod(self.event)].reshape(-1, *self.event)


class FourierFeatures(nn.Module):
    """(x, sin Bx, cos Bx), with frequencies B drawn once from N(0, bandwidth²) and saved with the weights."""

    directions: Tensor

    def __init__(self, size: int, frequencies: int, bandwidth: float) -> None:
        super().__init__()
        self.register_buffer("directions", bandwidth * torch.randn(size, frequencies, dtype=torch.get_default_dtype()))

    def forward(self, x: Float[Tensor, "n size"]) -> Float[Tensor, "n features"]:
        phase = x @ self.directions
        return torch.cat([x, phase.sin(), phase.cos()], dim=1)
