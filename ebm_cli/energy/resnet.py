"""Residual network energy for images: deep without losing the gradient, and for sides of any length."""

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data, image_event
from ebm_cli.energy._network import Tail, spectrally_normalised


class ResNet(nn.Module):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a residual network with SiLU units and no batch statistics.

    He et al., 2016 (arXiv 1603.05027), pre-activation blocks, as Du and Mordatch, 2019 (arXiv 1903.08689) build their
    energies of them. A 3×3 convolution to `width` channels; `depth` stages, each a block h + g(h), then its mean over
    2×2 pixels and twice the channels; a last block; the sum over what is left of the image, times a vector. f grows at
    most linearly, so Z(T) is finite for every T > 0 as long as confinement > 0 or base ≥ 1.

    width: channels of the first layer ≥ 1. depth: halvings ≥ 0; odd sides are rounded up. confinement: ≥ 0; at 0,
    without a base, Z may be infinite. base: Gaussians of b ≥ 0. spectral_norm: > 0 or None; with blocks it bounds each
    layer, not ‖∇f‖ by itself. event: (channels, height, width). See `network` for the last three but event.
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
        check.count("depth", depth, least=0)
        channels, _, _ = image_event("energy resnet", event)
        self.event = event
        self.tail = Tail(confinement, base, event, data)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        for stage in range(depth):
            fan_in = width * 2**stage
            layers += [Block(fan_in), nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(fan_in, 2 * fan_in, 1)]
        last = width * 2**depth
        self.features = nn.Sequential(*layers, Block(last), nn.SiLU())
        self.head = nn.Linear(last, 1)
        self.scale = spectrally_normalised(self, spectral_norm)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        h = self.features(x).sum((2, 3))
        return self.scale * self.head(h).squeeze(1) + self.tail(x)


class Block(nn.Module):
    """h + g(h), g two 3×3 convolutions, each behind a SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return h + self.branch(h)
