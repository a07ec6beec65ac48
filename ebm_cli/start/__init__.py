"""Starts: where chains begin. Every other file in this folder is one of them.

CD-k, persistent CD and short-run sampling are one objective with three starts: data, replay, noise.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.rng import normal_like


class Begun(NamedTuple):
    """Where n chains begin. age: kernel steps that each has behind it. rows: where they came from, if anywhere."""

    x: Float[Tensor, "n *event"]
    age: Int[Tensor, " n"]
    rows: Int[Tensor, " n"] | None


@runtime_checkable
class Start(Protocol):
    """Where chains begin; an `nn.Module` when it has state to keep in the checkpoint."""

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:
        """n states to begin at; `batch` is the data of this training step."""
        ...

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Take back where the chains ended, `steps` kernel steps on."""
        ...


@runtime_checkable
class Buffered(Protocol):
    """A start that keeps chains from one training step to the next.

    Its state is stored apart from checkpoints and only for those that training can go back to.
    """

    def holds_chains(self) -> bool:
        """Whether it has any yet."""
        ...

    def clear(self) -> None:
        """Forget all chains: they start again with the next draw."""
        ...


@runtime_checkable
class HasPolicy(Protocol):
    """A start that tells in one line where its chains start and when they restart."""

    def policy(self, chains: int, steps: int) -> str:
        """Where `chains` chains per training step, each moved by `steps` kernel steps, start, continue and restart."""
        ...


def fresh(
    n: int, event: tuple[int, ...], law: str, scale: float, rng: torch.Generator, dtype: torch.dtype
) -> Float[Tensor, "n *event"]:
    """Noise: uniform on [−scale, scale] or N(0, scale²), each coordinate by itself."""
    if law == "uniform":
        u = torch.rand(n, *event, generator=rng, device=rng.device, dtype=dtype)
        return scale * (2 * u - 1)
    return scale * torch.randn(n, *event, generator=rng, device=rng.device, dtype=dtype)


def noise_name(law: str, scale: float) -> str:
    """The distribution that `fresh` draws from, in words."""
    return (
        f"uniform noise on [−{scale:g}, {scale:g}]"
        if law == "uniform"
        else f"normal noise of standard deviation {scale:g}"
    )


class Moves:
    """Random changes of chains that lie in a buffer: shifted, mirrored, jittered, in this order.

    shift: pixels ≥ 0. flip: share in [0, 1]. jitter: σ ≥ 0. shift and flip are for pictures (channels, height, width).
    """

    def __init__(self, shift: int, flip: float, jitter: float, event: tuple[int, ...]) -> None:
        check.count("shift", shift, least=0)
        check.share("flip", flip)
        check.non_negative("jitter", jitter)
        for name, value in (("shift", shift), ("flip", flip)):
            if value and len(event) != 3:
                raise check.InputError(f"{name} must be 0 unless states are pictures, got {value} for {list(event)}")
        self.shift = shift
        self.flip = flip
        self.jitter = jitter

    def __call__(self, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, "n *event"]:
        if self.shift:
            x = shifted(x, self.shift, rng)
        if self.flip:
            mirrored = torch.rand(len(x), 1, 1, 1, generator=rng, device=x.device) < self.flip
            x = torch.where(mirrored, x.flip(3), x)
        if self.jitter:
            x = x + self.jitter * normal_like(x, rng)
        return x

    def policy(self) -> str:
        """The moves in words; nothing if there are none."""
        said = [f"it is shifted by up to {self.shift} pixels"] if self.shift else []
        said += [f"it is mirrored with probability {self.flip:.3g}"] if self.flip else []
        said += [f"noise of standard deviation {self.jitter:g} is added"] if self.jitter else []
        return ", ".join(said)


def shifted(x: Float[Tensor, "n c h w"], most: int, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Each picture moved by up to `most` pixels along either axis, its edge repeated."""
    n, _, height, width = x.shape
    by = torch.randint(-most, most + 1, (2, n, 1), generator=rng, device=x.device)
    rows = (torch.arange(height, device=x.device) + by[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + by[1]).clamp(0, width - 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    # Indices around a slice put the sliced axis, the channels, last.
    return x[each, :, rows[:, :, None], columns[:, None, :]].movedim(3, 1)
