"""Autoencoder-shaped energy: how far a state is from its own reconstruction."""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.network import Tail, spectrally_normalised


class Autoencoder(nn.Module):
    """E(x) = (½‖x − r(x)‖² − o(x))/σ² + confinement/2·‖x‖² − log b(x).

    r reconstructs x from features h(x), o scores them. Where r is the denoiser of data with noise σ, −∇E is the
    score of the noised law (Vincent, 2011, "A connection between score matching and denoising autoencoders"),
    so that score matching at that σ starts close to its solution. r and o grow at most linearly, so Z(T) is
    finite for every T > 0 as long as confinement > 0 or base ≥ 1.

    width: units a hidden layer ≥ 1. depth: hidden layers ≥ 1. channels: features of the convolutions in front
    of them (images alone), 0 for none. dropout: share in [0, 1), in training mode. sigma: σ > 0, in units of x.
    confinement: ≥ 0. base: Gaussians of b ≥ 0. spectral_norm: > 0 or None, a factor of r and o alike. event: shape of
    one state. See `network` for confinement, base and spectral_norm.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        channels: int,
        dropout: float,
        sigma: float,
        confinement: float,
        base: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__()
        check.count("width", width)
        check.count("depth", depth)
        check.count("channels", channels, least=0)
        check.half_open("dropout", dropout)
        check.positive("sigma", sigma)
        self.event = event
        self.sigma = sigma
        self.tail = Tail(confinement, base, event, data)
        size = math.prod(event)
        self.near = Near(channels, event) if channels else None
        layers: list[nn.Module] = [nn.Dropout(dropout)] if self.near else []
        sizes = [self.near.features if self.near else size] + [width] * depth
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU(), nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers)
        self.reconstruction = nn.Linear(width, size)
        self.score = nn.Linear(width, 1)
        self.scale = spectrally_normalised(self, spectral_norm)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        if self.near is None:
            h = self.features(x.flatten(1))
            r = self.reconstruction(h)
        else:
            down, same = self.near(x)
            h = self.features(down)
            r = self.reconstruction(h) + same.flatten(1)
        o = self.score(h).squeeze(1)
        e = 0.5 * (x.flatten(1) - self.scale * r).square().sum(1) - self.scale * o
        return e / self.sigma**2 + self.tail(x)


class Near(nn.Module):
    """Local features of an image, at half its size for the layers above and at its own size for r."""

    def __init__(self, channels: int, event: tuple[int, ...]) -> None:
        super().__init__()
        if len(event) != 3 or event[1] % 2 or event[2] % 2:
            raise check.InputError(
                f"channels must be 0 unless states are images with even sides, got {channels} for event={list(event)}"
            )
        planes, rows, columns = event
        self.features = 2 * channels * (rows // 2) * (columns // 2)
        self.same = nn.Conv2d(planes, channels, 3, padding=1)
        self.down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)
        self.back = nn.Conv2d(channels, planes, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n features"], Float[Tensor, "n c h w"]]:
        a = nn.functional.silu(self.same(x))
        b = nn.functional.silu(self.down(a))
        return b.flatten(1), self.back(a)
