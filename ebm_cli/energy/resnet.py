"""Residual network energy for images: deep networks that keep the gradient, for sides of any length."""

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy._confined import ImageNetwork


class ResNet(ImageNetwork):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a residual network with SiLU units and no batch statistics.

    The pre-activation blocks of He et al., 2016 (arXiv 1603.05027), used for energies by Du and Mordatch, 2019 (arXiv
    1903.08689). A 3×3 convolution to `width` channels; `depth` stages (≥ 0), each a block h + g(h), its mean over 2×2
    pixels (odd sides are rounded up) and twice the channels; a last block; the sum over the image, times a vector.
    With blocks, spectral_norm bounds each layer, not ‖∇f‖. See `ImageNetwork` for the parameters.
    """

    name = "resnet"
    min_depth = 0

    def add_layers(self, width: int, depth: int, channels: int, rows: int, columns: int) -> None:  # noqa: ARG002
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        for stage in range(depth):
            fan_in = width * 2**stage
            layers += [Block(fan_in), nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(fan_in, 2 * fan_in, 1)]
        last = width * 2**depth
        self.features = nn.Sequential(*layers, Block(last), nn.SiLU())
        self.head = nn.Linear(last, 1)

    def network(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1"]:
        return self.head(self.features(x).sum((2, 3)))


class Block(nn.Module):
    """h + g(h), g two 3×3 convolutions, each after a SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = (nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))
        self.branch = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, h: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return h + self.branch(h)
