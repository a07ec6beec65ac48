"""Multilayer perceptron energy: any shape of state, no structure assumed."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._network import Tail, perceptron, spectrally_normalised


class MLP(nn.Module):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a perceptron with SiLU units.

    f grows at most linearly, so Z(T) is finite for every T > 0 as long as confinement > 0 or base ≥ 1. A perceptron
    learns what varies slowly first and sharp edges hardly at all; waves of x beside x itself, Tancik et al., 2020
    (arXiv 2006.10739), give it both.

    width: units a hidden layer ≥ 1. depth: hidden layers ≥ 1. frequencies: of the waves ≥ 0, 0 for none. bandwidth:
    their spread > 0, in radians per unit of x. noise_level: None, or σ > 0: f is then told log σ of any noise level
    beside x, and unless told another, of this one. confinement: ≥ 0; at 0, without a base, Z may be infinite and chains
    may run away. base: Gaussians of b ≥ 0. spectral_norm: > 0 or None. event: shape of one state, flattened. See
    `network` for confinement, base and spectral_norm.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        frequencies: int,
        bandwidth: float,
        noise_level: float | None,
        confinement: float,
        base: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__()
        check.count("width", width)
        check.count("depth", depth)
        check.count("frequencies", frequencies, least=0)
        check.positive("bandwidth", bandwidth)
        if noise_level is not None:
            check.positive("noise_level", noise_level)
        self.event = event
        self.noise_level = noise_level
        self.tail = Tail(confinement, base, event, data)
        size = math.prod(event)
        self.waves = Waves(size, frequencies, bandwidth) if frequencies else None
        self.net = perceptron(size + 2 * frequencies + (noise_level is not None), width, depth, 1)
        self.scale = spectrally_normalised(self.net, spectral_norm)

    def forward(
        self, x: Float[Tensor, "n *event"], condition: Float[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        h = x.flatten(1) if self.waves is None else self.waves(x.flatten(1))
        if self.noise_level is not None:
            σ = h.new_full((len(h),), self.noise_level) if condition is None else condition
            h = torch.cat([h, σ.log()[:, None]], 1)
        return self.scale * self.net(h).squeeze(1) + self.tail(x)


class Waves(nn.Module):
    """(x, sin Bx, cos Bx), the frequencies B drawn once from N(0, bandwidth²) and kept with the weights."""

    directions: Tensor

    def __init__(self, size: int, frequencies: int, bandwidth: float) -> None:
        super().__init__()
        self.register_buffer("directions", bandwidth * torch.randn(size, frequencies, dtype=torch.get_default_dtype()))

    def forward(self, x: Float[Tensor, "n size"]) -> Float[Tensor, "n features"]:
        phase = x @ self.directions
        return torch.cat([x, phase.sin(), phase.cos()], dim=1)
