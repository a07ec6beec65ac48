"""Autoencoder energy: the distance of a state from its reconstruction."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._convolutions import ConvEncoder, UNetDecoder
from ebm_cli.energy._network import Tail, apply_spectral_norm


@dataclass(frozen=True)
class Architecture:
    """The sizes of one network, with the names of `Autoencoder`."""

    width: int
    depth: int
    channels: int
    convolutions: int
    dropout: float
    channel_dropout: float
    unet: bool

    def __post_init__(self) -> None:
        check.count("width", self.width)
        check.count("depth", self.depth)
        check.count("channels", self.channels, minimum=0)
        check.count("convolutions", self.convolutions)
        check.half_open("dropout", self.dropout)
        check.half_open("channel_dropout", self.channel_dropout)
        if self.unet and not self.channels:
            raise check.InputError("unet needs channels >= 1, got channels=0")


class Member(nn.Module):
    """One network: ½‖x − r(x)‖² − o(x)."""

    def __init__(self, sizes: Architecture, event: tuple[int, ...]) -> None:
        super().__init__()
        near = ConvEncoder(sizes.channels, sizes.convolutions, sizes.channel_dropout, event) if sizes.channels else None
        self.near = near
        self.up = UNetDecoder(sizes.width, near.lower, sizes.channel_dropout) if near and sizes.unet else None
        layers: list[nn.Module] = [nn.Dropout(sizes.dropout)] if near else []
        size = math.prod(event)
        for fan_in, fan_out in pairwise([math.prod(near.lower) if near else size] + [sizes.width] * sizes.depth):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU(), nn.Dropout(sizes.dropout)]
        self.features = nn.Sequential(*layers)
        self.reconstruction = nn.Linear(sizes.width, size)
        self.score = nn.Linear(sizes.width, 1)

    def member_energy(self, x: Float[Tensor, "n *event"], scale: float) -> Float[Tensor, " n"]:
        """Return ½‖x − scale·r(x)‖² − scale·o(x)."""
        if self.near is None:
            h = self.features(x.flatten(1))
            r = self.reconstruction(h)
        else:
            a, b = self.near(x)
            h = self.features(b.flatten(1))
            local = a if self.up is None else self.up(h, a, b)
            r = self.reconstruction(h) + self.near.back(local).flatten(1)
        o = self.score(h).squeeze(1)
        return 0.5 * (x.flatten(1) - scale * r).square().sum(1) - scale * o


class Autoencoder(Member):
    """E(x) = mean over members m of (½‖x − r_m(x)‖² − o_m(x))/σ², plus confinement/2·‖x‖² − log b(x).

    r reconstructs x from features h(x), o scores the features. If r is the denoiser of data with noise σ, −∇E is the
    score of the noisy distribution (Vincent, 2011, "A connection between score matching and denoising autoencoders").
    Therefore score matching at that σ starts close to its solution. r and o do not grow faster than linearly, so Z(T)
    is finite for all T > 0 if confinement > 0 or base_components ≥ 1.

    In training mode members are trained independently: each uses a different block of the rows, of equal size. To give
    each member the rows that a single network has, the batch must be `ensemble_size` times as large. In evaluation mode
    E is the mean of all members.

    width: units per hidden layer (≥ 1).
    depth: number of hidden layers (≥ 1).
    channels: features of the convolutions before them (≥ 0; only images can have more than 0).
    convolutions: number of convolutions at each of the two sizes of an image (≥ 1).
    dropout: fraction of units dropped in training mode (in [0, 1)).
    channel_dropout: fraction of whole channels dropped in training mode (in [0, 1)).
    unet: True if r is computed from h by convolutions that also use the features of both sizes; needs channels ≥ 1.
    ensemble_size: number of networks of these sizes, each with its own weights (≥ 1).
    sigma: σ in units of x (> 0).
    confinement: curvature of the quadratic term (≥ 0).
    base_components: number of Gaussians of b (≥ 0).
    spectral_norm: factor of r and o after spectral normalization (> 0), or None for no normalization.
    event: shape of one state.
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
        ensemble_size: int,
        sigma: float,
        confinement: float,
        base_components: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        sizes = Architecture(width, depth, channels, convolutions, dropout, channel_dropout, unet)
        check.count("ensemble_size", ensemble_size)
        check.positive("sigma", sigma)
        # The first member is the module itself. Thus the weights of a single network have the same names as before.
        super().__init__(sizes, event)
        self.others = nn.ModuleList(Member(sizes, event) for _ in range(ensemble_size - 1))
        self.event = event
        self.sigma = sigma
        self.tail = Tail(confinement, base_components, event, data)
        self.scale = apply_spectral_norm(self, spectral_norm)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        members = [self.member_energy, *(member.member_energy for member in self.others)]
        if self.training:
            blocks = x.tensor_split(len(members))
            e = torch.cat([member(block, self.scale) for member, block in zip(members, blocks, strict=True)])
        else:
            e = torch.stack([member(x, self.scale) for member in members]).mean(0)
        return e / self.sigma**2 + self.tail(x)
