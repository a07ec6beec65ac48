"""Convolutional energy for images: local features, halved in size until small, then one number."""

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.energy._confined import ImageNetwork


class Conv(ImageNetwork):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a convolutional network with SiLU units.

    A 3×3 convolution to `width` channels; `depth` stages (≥ 1), each of which halves the sides with a 4×4 convolution
    of stride 2 and doubles the channels; then one hidden layer. Each side must be divisible by 2^depth. See
    `ImageNetwork` for the parameters.
    """

    name = "conv"

    def add_layers(self, width: int, depth: int, channels: int, rows: int, columns: int) -> None:
        if rows % 2**depth or columns % 2**depth:
            raise InputError(f"depth must halve {rows}x{columns} images evenly, got {depth}")
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
        for stage in range(depth):
            fan_in = width * 2**stage
            layers += [nn.Conv2d(fan_in, 2 * fan_in, 4, stride=2, padding=1), nn.SiLU()]
        n_features = width * 2**depth * (rows // 2**depth) * (columns // 2**depth)
        layers += [nn.Flatten(), nn.Linear(n_features, 8 * width), nn.SiLU(), nn.Linear(8 * width, 1)]
        self.net = nn.Sequential(*layers)

    def network(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1"]:
        return self.net(x)
