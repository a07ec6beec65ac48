"""Multilayer perceptron energy: any shape of state, no structure assumed."""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.network import Tail, spectrally_normalised


class MLP(nn.Module):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a perceptron with SiLU units.

    f grows at most linearly, so Z(T) is finite for every T > 0 as long as confinement > 0 or base ≥ 1.

    width: units a hidden layer ≥ 1. depth: hidden layers ≥ 1. confinement: ≥ 0; at 0, without a base, Z may be
    infinite and chains may run away. base: Gaussians of b ≥ 0. spectral_norm: > 0 or None. event: shape of one
    state, flattened. See `network` for what the last three do.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        confinement: float,
        base: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__()
        check.count("width", width)
        check.count("depth", depth)
        self.event = event
        self.tail = Tail(confinement, base, event, data)
        sizes = [math.prod(event)] + [width] * depth
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.net = nn.Sequential(*layers, nn.Linear(width, 1))
        self.scale = spectrally_normalised(self.net, spectral_norm)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.scale * self.net(x.flatten(1)).squeeze(1) + self.tail(x)
