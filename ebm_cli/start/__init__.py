"""Starts: initial states of chains; one file per start.

CD-k, persistent CD and short-run sampling are one objective with three starts: data, replay, noise.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, _angles
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE
from ebm_cli.rng import normal_like


class InitialStates(NamedTuple):
    """Initial states of n chains.

    age: number of kernel steps that each chain has made already.
    rows: their rows in a buffer, or None.
    replicas: the states of all replicas of each chain, the first of which is x; None if a buffer has none.
    """

    x: Float[Tensor, "n *event"]
    age: Int[Tensor, " n"]
    rows: Int[Tensor, " n"] | None
    replicas: Float[Tensor, "n K *event"] | None = None

    @staticmethod
    def unaged(x: Float[Tensor, "n *event"], age: int = 0) -> "InitialStates":
        """Return states that are in no buffer and have the same age."""
        return InitialStates(x, torch.full((len(x),), age, device=x.device), None)


@runtime_checkable
class Start(Protocol):
    """A source of initial states; an `nn.Module` if it has state to keep in the checkpoint."""

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:
        """Return n initial states; `batch` is the data of this training step."""
        ...

    def keep(self, initial: InitialStates, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Store the final states of chains, `steps` kernel steps after the initial states."""
        ...


@runtime_checkable
class Buffered(Protocol):
    """A start that keeps chains from one training step to the next.

    Its state is stored separately from checkpoints, and only for checkpoints to which training can return.
    """

    def holds_chains(self) -> bool:
        """Return True if the buffer is filled."""
        ...

    def clear(self) -> None:
        """Remove all chains; the next draw fills the buffer again."""
        ...


@runtime_checkable
class KeepsReplicas(Protocol):
    """A start that keeps all replicas of chains of replica exchange, and not only their states at the model."""

    def keep_replicas(self, initial: InitialStates, replicas: Float[Tensor, "n K *event"], steps: int) -> None:
        """Store the final states of all replicas, as `keep` stores those of chains."""
        ...


@runtime_checkable
class HasPolicy(Protocol):
    """A start that describes in one line where its chains start and when they restart."""

    def policy(self, chains: int, steps: int) -> str:
        """Describe the chains if each training step moves this many chains by this many kernel steps."""
        ...


@runtime_checkable
class ProvidesStart(Protocol):
    """A class of objectives that provide the default start of chains of their runs."""

    @staticmethod
    def start_of(node: dict[str, Any]) -> dict[str, Any]:
        """Return `_target_` and arguments of the start, given the objective's node in the configuration of a run."""
        ...


class Memoryless:
    """A start that does not store chains."""

    def keep(self, initial: InitialStates, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class NoiseLaw:
    """Noise with independent coordinates: uniform on [−scale, scale] or N(0, scale²).

    Discrete sites and angles are uniform on all of their values, whatever distribution and scale are.

    space: of the states. distribution: uniform or normal. scale: in units of x (> 0).
    """

    space: str
    distribution: str
    scale: float

    def draw(
        self, n: int, event: tuple[int, ...], rng: torch.Generator, dtype: torch.dtype
    ) -> Float[Tensor, "n *event"]:
        """Return independent states."""
        if self.space in DISCRETE:
            return Sites(self.space, event).uniform(n, rng, dtype)
        if self.space == _angles.SPACE:
            return _angles.uniform(n, event, rng, dtype)
        if self.distribution == "uniform":
            u = torch.rand(n, *event, generator=rng, device=rng.device, dtype=dtype)
            return self.scale * (2 * u - 1)
        return self.scale * torch.randn(n, *event, generator=rng, device=rng.device, dtype=dtype)

    def description(self, event: tuple[int, ...]) -> str:
        """Return a description of the noise."""
        if self.space in DISCRETE:
            return f"{Sites(self.space, event).description} of equal probability"
        if self.space == _angles.SPACE:
            return "uniform angles on [−π, π)"
        if self.distribution == "uniform":
            return f"uniform noise on [−{self.scale:g}, {self.scale:g}]"
        return f"normal noise of standard deviation {self.scale:g}"


class BufferAugmentation:
    """Random changes of chains in a buffer: a shift, a reflection and added noise, in this order.

    shift: maximum shift of a picture (channels, height, width), in pixels (≥ 0).
    flip: probability that a picture is mirrored (in [0, 1]).
    jitter: standard deviation of the noise (≥ 0).
    """

    def __init__(self, shift: int, flip: float, jitter: float, event: tuple[int, ...]) -> None:
        check.count("shift", shift, minimum=0)
        check.fraction("flip_probability", flip)
        check.non_negative("jitter_std", jitter)
        for name, value in (("shift", shift), ("flip_probability", flip)):
            if value and len(event) != 3:
                raise check.InputError(f"{name} must be 0 unless states are pictures, got {value} for {list(event)}")
        self.shift = shift
        self.flip = flip
        self.jitter = jitter

    def __call__(self, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, "n *event"]:
        if self.shift:
            x = shift_pictures(x, self.shift, rng)
        if self.flip:
            mirrored = torch.rand(len(x), 1, 1, 1, generator=rng, device=x.device) < self.flip
            x = torch.where(mirrored, x.flip(3), x)
        if self.jitter:
            x = x + self.jitter * normal_like(x, rng)
        return x

    def policy(self) -> str:
        """Describe the changes; empty if there are none."""
        changes = [f"it is shifted by up to {self.shift} pixels"] if self.shift else []
        changes += [f"it is mirrored with probability {self.flip:.3g}"] if self.flip else []
        changes += [f"noise of standard deviation {self.jitter:g} is added"] if self.jitter else []
        return ", ".join(changes)


def shift_pictures(x: Float[Tensor, "n c h w"], limit: int, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Return each picture shifted by up to `limit` pixels along both axes, with its edge repeated."""
    n, _, height, width = x.shape
    by = torch.randint(-limit, limit + 1, (2, n, 1), generator=rng, device=x.device)
    rows = (torch.arange(height, device=x.device) + by[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + by[1]).clamp(0, width - 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    # Indices around a slice put the sliced axis, the channels, last.
    return x[each, :, rows[:, :, None], columns[:, None, :]].movedim(3, 1)
