"""Autoencoder-shaped energy: how far a state is from its own reconstruction."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._convolutions import Near, Up
from ebm_cli.energy._network import Tail, spectrally_normalised


class Member(nn.Module):
    """One network: ½‖x − r(x)‖² − o(x)."""

    def __init__(
        self,
        width: int,
        depth: int,
        channels: int,
        convolutions: int,
        dropout: float,
        channel_dropout: float,
        unet: bool,
        event: tuple[int, ...],
    ) -> None:
        super().__init__()
        size = math.prod(event)
        self.near = Near(channels, convolutions, channel_dropout, event) if channels else None
        self.up = Up(width, self.near.lower, channel_dropout) if self.near and unet else None
        layers: list[nn.Module] = [nn.Dropout(dropout)] if self.near else []
        sizes = [math.prod(self.near.lower) if self.near else size] + [width] * depth
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU(), nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers)
        self.reconstruction = nn.Linear(width, size)
        self.score = nn.Linear(width, 1)

    def unscaled(self, x: Float[Tensor, "n *event"], scale: float) -> Float[Tensor, " n"]:
        """½‖x − scale·r(x)‖² − scale·o(x)."""
        if self.near is None:
            h = self.features(x.flatten(1))
            r = self.reconstruction(h)
        else:
            a, b = self.near(x)
            h = self.features(b.flatten(1))
            seen = a if self.up is None else self.up(h, a, b)
            r = self.reconstruction(h) + self.near.back(seen).flatten(1)
        o = self.score(h).squeeze(1)
        return 0.5 * (x.flatten(1) - scale * r).square().sum(1) - scale * o


class Autoencoder(Member):
    """E(x) = mean over members m of (½‖x − r_m(x)‖² − o_m(x))/σ², plus confinement/2·‖x‖² − log b(x).

    r reconstructs x from features h(x), o scores them. Where r is the denoiser of data with noise σ, −∇E is the
    score of the noised law (Vincent, 2011, "A connection between score matching and denoising autoencoders"),
    so that score matching at that σ starts close to its solution. r and o grow at most linearly, so Z(T) is
    finite for every T > 0 as long as confinement > 0 or base ≥ 1.

    In training mode each row meets one member alone, the rows shared out in equal blocks, so that members learn apart
    and a batch must be `members` times as large for each to see as many rows; everywhere else E is their mean.

    width: units a hidden layer ≥ 1. depth: hidden layers ≥ 1. channels: features of the convolutions in front
    of them (images alone), 0 for none. convolutions: ≥ 1 at each of the two sizes of an image. dropout: share in
    [0, 1), in training mode. channel_dropout: the same of whole channels. unet: whether r comes back from h through
    convolutions that see the features of both sizes. members: networks ≥ 1 of these sizes, each with weights of its
    own. sigma: σ > 0, in units of x. confinement: ≥ 0. base: Gaussians of b ≥ 0. spectral_norm: > 0 or None, a factor
    of r and o alike. event: shape of one state. See `network` for confinement, base and spectral_norm. Raises
    InputError for a unet without channels.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        channels: int,
        convolutions: int,
        dropout: float,
        channel_dropout: float,
        unet: bool,
        members: int,
        sigma: float,
        confinement: float,
        base: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        check.count("width", width)
        check.count("depth", depth)
        check.count("channels", channels, least=0)
        check.count("convolutions", convolutions)
        check.half_open("dropout", dropout)
        check.half_open("channel_dropout", channel_dropout)
        if unet and not channels:
            raise check.InputError("unet needs channels >= 1, got channels=0")
        check.count("members", members)
        check.positive("sigma", sigma)
        # The first member is the module itself, so that the weights of one network have the names that they always had.
        sizes = width, depth, channels, convolutions, dropout, channel_dropout, unet, event
        super().__init__(*sizes)
        self.others = nn.ModuleList(Member(*sizes) for _ in range(members - 1))
        self.event = event
        self.sigma = sigma
        self.tail = Tail(confinement, base, event, data)
        self.scale = spectrally_normalised(self, spectral_norm)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        members = [self.unscaled, *(member.unscaled for member in self.others)]
        if self.training:
            blocks = x.tensor_split(len(members))
            e = torch.cat([member(block, self.scale) for member, block in zip(members, blocks, strict=True)])
        else:
            e = torch.stack([member(x, self.scale) for member in members]).mean(0)
        return e / self.sigma**2 + self.tail(x)
