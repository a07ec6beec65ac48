"""Networks with a confining term: what energies made of a network have in common."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data, _angles
from ebm_cli.data._pictures import image_shape
from ebm_cli.energy import space_of
from ebm_cli.energy._network import Tail, apply_spectral_norm


class ConfinedNetwork(nn.Module):
    """Base of E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a network.

    f does not grow faster than linearly. Therefore Z(T) is finite for all T > 0 if confinement > 0 or
    base_components ≥ 1; otherwise it may be infinite, and chains may diverge. A subclass builds its layers after this
    constructor and then sets `scale` by `apply_spectral_norm`. States are those of the data, continuous without data.
    Of periodic states f is a function of cosines and sines, so that E has the period, and there are no other terms: Z
    is finite on a circle.

    width: units or channels of the first layer (≥ 1).
    depth: number of layers or stages (≥ `min_depth`).
    confinement: curvature of the quadratic term (≥ 0).
    base_components: number of Gaussians of b (≥ 0), fitted to data (`Tail`).
    event: shape of one state.
    """

    min_depth: ClassVar[int] = 1
    scale: float

    def __init__(
        self,
        width: int,
        depth: int,
        confinement: float,
        base_components: int,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__()
        check.count("width", width)
        check.count("depth", depth, minimum=self.min_depth)
        self.event = event
        self.space = space_of(data)
        self.is_periodic = self.space == _angles.SPACE
        self.tail = Tail(confinement, 0 if self.is_periodic else base_components, event, data)

    @property
    def circles(self) -> int:
        """Return the number of inputs of the network per number of a state."""
        return 2 if self.is_periodic else 1

    def inputs(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *inputs"]:
        """Return the inputs of the network: x, or the cosines and, along the next axis behind them, sines of angles."""
        return torch.cat([x.cos(), x.sin()], 1) if self.is_periodic else x

    def confining(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"] | float:
        """Return the terms that are added to the network."""
        return 0.0 if self.is_periodic else self.tail(x)


class ImageNetwork(ConfinedNetwork):
    """Base of the confined networks for images; a subclass provides `add_layers` and `features`.

    Other parameters are defined in `ConfinedNetwork`; width counts channels, depth counts halvings of the image.

    spectral_norm: factor of the network after spectral normalization (> 0), or None for no normalization.
    event: (channels, height, width).
    """

    # Name in the message for states that are not images.
    name: ClassVar[str]

    def __init__(
        self,
        width: int,
        depth: int,
        confinement: float,
        base_components: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        shape = image_shape(f"energy {self.name}", event)
        super().__init__(width, depth, confinement, base_components, event, data)
        self.add_layers(width, depth, self.circles * shape[0], *shape[1:])
        self.scale = apply_spectral_norm(self, spectral_norm)

    def add_layers(self, width: int, depth: int, channels: int, rows: int, columns: int) -> None:
        """Build the layers for images of this shape."""
        raise NotImplementedError

    def network(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1"]:
        """Return f(x)/scale."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        return self.scale * self.network(self.inputs(x)).squeeze(1) + self.confining(x)
