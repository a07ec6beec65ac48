"""Multilayer perceptron energy: any shape of state, no structure assumed."""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import confining


class MLP(nn.Module):
    """E(x) = f(x) + confinement/2·‖x‖², f a perceptron with SiLU units.

    f grows at most linearly, so Z(T) is finite for every T > 0 as long as confinement > 0.

    width: units a hidden layer ≥ 1. depth: hidden layers ≥ 1. confinement: ≥ 0; at 0 Z may be infinite and
    chains may run away. event: shape of one state, flattened.
    """

    def __init__(self, width: int, depth: int, confinement: float, event: tuple[int, ...]) -> None:
        super().__init__()
        check.count("width", width)
        check.count("depth", depth)
        check.non_negative("confinement", confinement)
        self.event = event
        self.confinement = confinement
        sizes = [math.prod(event)] + [width] * depth
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.net = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.net(x.flatten(1)).squeeze(1) + confining(x, self.confinement)
