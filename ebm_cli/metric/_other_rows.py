"""Rows that do not come from the data, made by code or taken from shipped pictures, to be told from held-out rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import DISCRETE, _angles, is_image, mnist
from ebm_cli.data._rows import with_noise
from ebm_cli.data._sites import Sites
from ebm_cli.energy import CONTINUOUS
from ebm_cli.metric._letters import letters

# Pixels per side of a picture of MNIST without its margins.
MNIST_SIDE = 22
# Sets of far rows share nothing with the data but their range; sets of near rows have their columns or their look.
Distance = Literal["far", "near"]


@dataclass(frozen=True)
class Source:
    """What the sets are made from.

    held_out: held-out rows, with noise.
    train: training rows, with noise.
    noise: standard deviation of the data's noise. Rows that are made without noise get the same noise.
    """

    held_out: Float[Tensor, "n *event"]
    train: Float[Tensor, "m *event"]
    event: tuple[int, ...]
    space: str
    noise: float
    rng: torch.Generator

    @property
    def n(self) -> int:
        """Return the number of rows of each set, that of the held-out rows."""
        return len(self.held_out)

    @property
    def is_image(self) -> bool:
        """Return True for pictures."""
        return is_image(self.event) and (self.space in CONTINUOUS or self.space == "binary")

    def rand(self, *shape: int) -> Tensor:
        """Return numbers uniform on [0, 1)."""
        return torch.rand(*shape, generator=self.rng, dtype=self.held_out.dtype)

    def noisy(self, clean: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return rows with the noise of the data."""
        return with_noise(clean, self.noise, self.space, self.rng) if self.noise else clean

    def pictures(self, gray: Float[Tensor, "n height width"]) -> Float[Tensor, "n *event"]:
        """Return gray pictures in [−1, 1] as states: in all channels, with noise, or as zeros and ones."""
        x = gray[:, None].expand(-1, *self.event).to(self.held_out.dtype)
        return (x >= 0).to(x.dtype) if self.space == "binary" else self.noisy(x)


def uniform_noise(source: Source) -> Tensor:
    """Return independent coordinates, uniform between the lowest and the highest training value of each."""
    if source.space in DISCRETE:
        return Sites(source.space, source.event).uniform(source.n, source.rng, source.held_out.dtype)
    if source.space == _angles.SPACE:
        return _angles.uniform(source.n, source.event, source.rng, source.held_out.dtype)
    low, high = source.train.amin(0), source.train.amax(0)
    return low + (high - low) * source.rand(source.n, *source.event)


def gaussian_noise(source: Source) -> Tensor:
    """Return independent coordinates, normal with the mean and the standard deviation of each in the training rows."""
    ξ = torch.randn(source.n, *source.event, generator=source.rng, dtype=source.held_out.dtype)
    return source.train.mean(0) + source.train.std(0) * ξ


def constant(source: Source) -> Tensor:
    """Return rows whose coordinates all have one value, uniform between the lowest and the highest of training."""
    low, high = source.train.min(), source.train.max()
    level = low + (high - low) * source.rand(source.n, *(1 for _ in source.event))
    return source.noisy(level.expand(-1, *source.event))


def shuffled_columns(source: Source) -> Tensor:
    """Return held-out rows whose columns are permuted over rows, each by itself: only dependence is lost."""
    x, event = source.held_out, source.event
    columns = x.reshape(source.n, -1, event[-1]) if source.space == "categorical" else x.reshape(source.n, -1, 1)
    order = source.rand(*columns.shape[:2]).argsort(0)
    return columns.gather(0, order[:, :, None].expand_as(columns)).reshape(x.shape)


def shuffled_pixels(source: Source) -> Tensor:
    """Return held-out pictures with their pixels in random order, another order for each picture."""
    x = source.held_out.flatten(2)
    order = source.rand(source.n, 1, x.shape[2]).argsort(2)
    return x.gather(2, order.expand_as(x)).reshape(source.held_out.shape)


def shifted(source: Source) -> Tensor:
    """Return held-out pictures moved by a quarter of their sides, in one of four diagonal directions.

    The border of a picture is repeated.
    """
    height, width = source.event[1:]
    rows, columns = torch.arange(height), torch.arange(width)
    signs = 2 * torch.randint(2, (source.n, 2), generator=source.rng) - 1
    down, right = (signs * torch.tensor([max(1, height // 4), max(1, width // 4)])).T
    at_row = (rows - down[:, None]).clamp(0, height - 1)[:, None, :, None]
    at_column = (columns - right[:, None]).clamp(0, width - 1)[:, None, None, :]
    x = source.held_out
    picture, channel = torch.arange(source.n)[:, None, None, None], torch.arange(x.shape[1])[None, :, None, None]
    return x[picture, channel, at_row, at_column]


def mnist_resized(source: Source) -> Tensor:
    """Return held-out pictures of MNIST without their margins of 3 pixels, reduced by the mean over areas."""
    held_out = mnist.MNIST(0.0).split("held_out").x.to("cpu", source.held_out.dtype)
    chosen = held_out[torch.randperm(len(held_out), generator=source.rng)[: source.n], :, 3:-3, 3:-3]
    size = (source.event[1], source.event[2])
    return source.pictures(torch.nn.functional.interpolate(chosen, size, mode="area")[:, 0])


def drawn_letters(source: Source) -> Tensor:
    """Return letters that are drawn by code, see `letters`."""
    return source.pictures(letters(source.n, (source.event[1], source.event[2]), source.rng))


class OtherSet(NamedTuple):
    """One set of other rows.

    make: the rows. fits: whether they exist for this data. description: what they are.
    """

    distance: Distance
    make: Callable[[Source], Tensor]
    fits: Callable[[Source], bool]
    description: str


def is_continuous(source: Source) -> bool:
    """Return True for rows of real numbers."""
    return source.space in CONTINUOUS


def has_columns(source: Source) -> bool:
    """Return True for rows of at least two columns."""
    return source.held_out[0].numel() > 1


def is_smaller_than_mnist(source: Source) -> bool:
    """Return True for pictures to which those of MNIST can be reduced."""
    return source.is_image and max(source.event[1:]) <= MNIST_SIDE


SETS: dict[str, OtherSet] = {
    "uniform_noise": OtherSet("far", uniform_noise, lambda _: True, "uniform noise in the range of each column"),
    "gaussian_noise": OtherSet("far", gaussian_noise, is_continuous, "normal noise of each column's mean and sd"),
    "constant": OtherSet("far", constant, lambda s: is_continuous(s) and has_columns(s), "one value in all columns"),
    "shuffled_pixels": OtherSet("far", shuffled_pixels, lambda s: s.is_image, "held-out pictures, pixels shuffled"),
    "shuffled_columns": OtherSet("near", shuffled_columns, has_columns, "held-out rows, each column shuffled"),
    "shifted": OtherSet("near", shifted, lambda s: s.is_image, "held-out pictures, moved by a quarter"),
    "mnist": OtherSet("near", mnist_resized, is_smaller_than_mnist, "pictures of MNIST, reduced to this size"),
    "letters": OtherSet("near", drawn_letters, lambda s: s.is_image, "letters that are drawn by code"),
}
