"""Samplers: Markov kernels for p(x) ∝ exp(−E(x)/T). Every other file in this folder is one of them.

A sampler is a frozen dataclass of its hyperparameters with `init` and `step`. States cache what the next step
would compute again; nothing in a step waits for the device.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Info(NamedTuple):
    """What one step tells of each chain. accept: the probability with which its proposal was taken, 1 for
    kernels without a test."""

    accept: Float[Tensor, " n"]


class State(NamedTuple):
    """A chain's position with its energy and gradient; kernels with momentum carry their own type."""

    x: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


@runtime_checkable
class Sampler(Protocol):
    """A Markov kernel at a temperature."""

    @property
    def temperature(self) -> float: ...

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Any:
        """The state of chains at x."""
        ...

    def step(self, energy: nn.Module, state: Any, rng: torch.Generator) -> tuple[Any, Info]:
        """One transition of every chain."""
        ...


def per_chain(value: Tensor, like: Tensor) -> Tensor:
    """A value a chain, shaped to multiply states of `like`'s shape."""
    return value.view(-1, *[1] * (like.dim() - 1))


def chosen(accept: Bool[Tensor, " n"], new: Tensor, old: Tensor) -> Tensor:
    """`new` in the rows that `accept` names, `old` in the others."""
    return torch.where(per_chain(accept, new), new, old)


def metropolis(old: State, new: State, log_ratio: Float[Tensor, " n"], rng: torch.Generator) -> tuple[State, Info]:
    """`new` with probability min(1, exp(log_ratio)), else `old`, chain by chain; what is not finite is refused.

    Metropolis et al., 1953, and Hastings, 1970: log_ratio = log π(y)q(x|y) − log π(x)q(y|x).
    """
    e = new.energy
    u = torch.rand(e.shape, generator=rng, dtype=e.dtype, device=e.device)
    accept = torch.where(e.isfinite() & log_ratio.isfinite(), log_ratio.clamp(max=0).exp(), 0.0)
    taken = u < accept
    parts = zip(new, old, strict=True)
    return State(*(chosen(taken, value, before) for value, before in parts)), Info(accept)
