"""Convolutions of an image down to half its size, and up to its full size with the features of both sizes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from ebm_cli import check


class ConvEncoder(nn.Module):
    """Local features of an image, at full and at half size. `back` maps the features at full size to a picture.

    channels: number of features at full size (≥ 1). At half size there are 2·channels.
    convolutions: number of convolutions at each size (≥ 1).
    channel_dropout: fraction of whole channels dropped in training mode (in [0, 1)).

    Raises InputError unless the event is an image with even sides.
    """

    def __init__(self, channels: int, convolutions: int, channel_dropout: float, event: tuple[int, ...]) -> None:
        super().__init__()
        if len(event) != 3 or event[1] % 2 or event[2] % 2:
            raise check.InputError(
                f"channels must be 0 unless states are images with even sides, got {channels} for event={list(event)}"
            )
        planes, rows, columns = event
        self.lower = (2 * channels, rows // 2, columns // 2)
        self.same = nn.Conv2d(planes, channels, 3, padding=1)
        self.down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)
        self.back = nn.Conv2d(channels, planes, 3, padding=1)
        self.more_same = extra_convolutions(channels, convolutions)
        self.drop = nn.Dropout2d(channel_dropout)
        self.more_down = extra_convolutions(2 * channels, convolutions)

    def forward(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n a h w"], Float[Tensor, "n b h/2 w/2"]]:
        a = self.drop(self.more_same(silu(self.same(x))))
        return a, self.drop(self.more_down(silu(self.down(a))))


class UNetDecoder(nn.Module):
    """The second half of a U-Net (Ronneberger, Fischer and Brox, 2015, arXiv 1505.04597).

    h is arranged as an image of half the size and joined with the features of ConvEncoder, first at half and then at
    full size.

    width: size of h.
    lower: channels and sides at half the size.
    channel_dropout: fraction of whole channels dropped in training mode (in [0, 1)).
    """

    def __init__(self, width: int, lower: tuple[int, int, int], channel_dropout: float) -> None:
        super().__init__()
        wide, rows, columns = lower
        self.lower = lower
        self.lay_out = nn.Linear(width, wide * rows * columns)
        self.join_half = nn.Conv2d(2 * wide, wide, 3, padding=1)
        self.up = nn.ConvTranspose2d(wide, wide // 2, 4, stride=2, padding=1)
        self.join_full = nn.Conv2d(wide, wide // 2, 3, padding=1)
        self.drop = nn.Dropout2d(channel_dropout)

    def forward(
        self, h: Float[Tensor, "n width"], a: Float[Tensor, "n a h w"], b: Float[Tensor, "n b h/2 w/2"]
    ) -> Float[Tensor, "n a h w"]:
        wide, rows, columns = self.lower
        # The channels are last in memory, like the channels of b.
        grid = silu(self.lay_out(h)).view(-1, rows, columns, wide).permute(0, 3, 1, 2)
        half = self.drop(silu(self.join_half(torch.cat([grid, b], 1))))
        return silu(self.join_full(torch.cat([silu(self.up(half)), a], 1)))


def extra_convolutions(channels: int, convolutions: int) -> nn.Sequential:
    """Return the convolutions that follow the first convolution at the same size."""
    layers: list[nn.Module] = []
    for _ in range(convolutions - 1):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU()]
    return nn.Sequential(*layers)
