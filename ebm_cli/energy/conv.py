"""Convolutional energy for images: the same local features everywhere, halved until small, then one number."""

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data, image_event
from ebm_cli.energy._network import Tail, spectrally_normalised


class Conv(nn.Module):
    """E(x) = f(x) + confinement/2·‖x‖² − log b(x), f a convolutional network with SiLU units.

    A 3×3 convolution to `width` channels, then `depth` stages that halve each side with a 4×4 convolution of
    stride 2 and double the channels, then one hidden layer. f grows at most linearly, so Z(T) is finite for
    every T > 0 as long as confinement > 0 or base ≥ 1.

    width: channels of the first layer ≥ 1. depth: halvings ≥ 1; each side must be divisible by 2^depth.
    confinement: ≥ 0; at 0, without a base, Z may be infinite. base: Gaussians of b ≥ 0. spectral_norm: > 0 or
    None. event: (channels, height, width). See `network` for confinement, base and spectral_norm.
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
        channels, rows, columns = image_event("energy conv", event)
        if rows % 2**depth or columns % 2**depth:
            raise check.InputError(f"depth must halve {rows}x{columns} images evenly, got {depth}")
        self.event = event
        self.tail = Tail(confinement, base, event, data)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
        for stage in range(depth):
            fan_in = width * 2**stage
            layers += [nn.Conv2d(fan_in, 2 * fan_in, 4, stride=2, padding=1), nn.SiLU()]
        features = width * 2**depth * (rows // 2**depth) * (columns // 2**depth)
        layers += [nn.Flatten(), nn.Linear(features, 8 * width), nn.SiLU(), nn.Linear(8 * width, 1)]
        self.net = nn.Sequential(*layers)
        self.scale = spectrally_normalised(self.net, spectral_norm)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        return self.scale * self.net(x).squeeze(1) + self.tail(x)
