"""Samplers: Markov kernels for p(x) ∝ exp(−E(x)/T). Every other file in this folder is one of them.

A sampler is a frozen dataclass of its hyperparameters with `init` and `step`. States cache what the next step
would compute again; nothing in a step waits for the device.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli import check

# The shortest step that `shortened` gives, as a share of the whole one.
SHORTEST = 0.03


class Info(NamedTuple):
    """What one step tells of each chain.

    accept: the probability with which its proposal was taken, 1 for kernels without a test. diverging: whether what
    was proposed had no finite energy. gradients: evaluations of energy and gradient, one number where all chains
    need as many.
    """

    accept: Float[Tensor, " n"]
    diverging: Bool[Tensor, " n"]
    gradients: Float[Tensor, " n"] | int


class State(NamedTuple):
    """A chain's position with its energy and gradient; kernels with momentum carry their own type."""

    x: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


class Moving(NamedTuple):
    """A chain's position and velocity with the energy and gradient at the position."""

    x: Float[Tensor, "n *event"]
    v: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


@runtime_checkable
class Sampler(Protocol):
    """A Markov kernel at a temperature. States have x, energy and grad, a row a chain."""

    @property
    def temperature(self) -> float: ...

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Any:
        """The state of chains at x."""
        ...

    def step(self, energy: nn.Module, state: Any, rng: torch.Generator) -> tuple[Any, Info]:
        """One transition of every chain."""
        ...


class Kernel(ABC):
    """A sampler whose step is fixed tensor arithmetic on noise drawn up front: it can be compiled and captured.

    test_per_step: whether a chain stays exactly if its one proposal of a step is refused, so that 1 − `Info.accept` is
    the probability to stay.
    """

    test_per_step = False

    @property
    def passes(self) -> int:
        """Evaluations of the energy that follow one another in a step."""
        return 1

    @abstractmethod
    def noise(self, state: Any, rng: torch.Generator) -> tuple[Tensor, ...]:
        """All random numbers of one step."""

    @abstractmethod
    def update(self, energy: nn.Module, state: Any, noise: tuple[Tensor, ...]) -> tuple[Any, Info]:
        """The step that these random numbers make."""

    def step(self, energy: nn.Module, state: Any, rng: torch.Generator) -> tuple[Any, Info]:
        return self.update(energy, state, self.noise(state, rng))


@runtime_checkable
class Tunable(Protocol):
    """A kernel whose step size burn-in can set, and with it a scale a coordinate.

    adjusted: whether a Metropolis test makes it exact at any step size. scales: the kernel moves x/scales.
    """

    adjusted: ClassVar[bool]

    @property
    def step_size(self) -> Any: ...

    @property
    def scales(self) -> list[float] | None: ...


@runtime_checkable
class Adjusted(Tunable, Protocol):
    """A kernel with a Metropolis test. best_acceptance: the mean acceptance at which it mixes fastest."""

    best_acceptance: ClassVar[float]


@runtime_checkable
class Unadjusted(Tunable, Protocol):
    """A kernel without a test, whose stationary law is off by its step."""

    def step_size_for(self, curvature: float, bias: float) -> float:
        """The step size whose relative bias in a well of this curvature is `bias`."""
        ...


@runtime_checkable
class HasLocalKernel(Protocol):
    """A sampler that mixes a simpler kernel with moves of another kind; both have one step size."""

    def local_kernel(self) -> Sampler:
        """The simpler kernel by itself, which can be tuned."""
        ...


@runtime_checkable
class TellsBias(Protocol):
    """A kernel that can tell how far its step leads it astray."""

    def bias(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> dict[str, Float[Tensor, " n"]]:
        """Measures of one step from each x, by the names of metrics.json."""
        ...


def check_scales(scales: list[float] | None) -> None:
    """Raise InputError unless `scales` is None or a list of numbers > 0."""
    if scales is None:
        return
    if not isinstance(scales, list) or not scales:
        raise check.InputError(f"scales must be a list with one number a coordinate, got {scales!r}")
    for scale in scales:
        check.positive("scales", scale)


def uniform_like(x: Float[Tensor, "*shape"], rng: torch.Generator) -> Float[Tensor, "*shape"]:
    """Uniform numbers in [0, 1) of x's shape, type and device."""
    return torch.rand(x.shape, generator=rng, dtype=x.dtype, device=x.device)


def shortened(u: Float[Tensor, " n"], share: float) -> Float[Tensor, " n"]:
    """Factors of a step size: log-uniform from SHORTEST to 1 for a `share` > 0 of uniform numbers u, 1 for the others.

    A kernel that draws its step size without a look at x is exact if it is so at each.
    """
    return torch.where(u < share, SHORTEST ** (u / share), 1.0)


def per_chain(value: Tensor, like: Tensor) -> Tensor:
    """A value a chain, shaped to multiply states of `like`'s shape."""
    return value.view(-1, *[1] * (like.dim() - 1))


def chosen(accept: Bool[Tensor, " n"], new: Tensor, old: Tensor) -> Tensor:
    """`new` in the rows that `accept` names, `old` in the others."""
    return torch.where(per_chain(accept, new), new, old)


def probability(new: State, log_ratio: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """min(1, exp(log_ratio)), and 0 where the new energy or the ratio is not finite."""
    return torch.where(new.energy.isfinite() & log_ratio.isfinite(), log_ratio.clamp(max=0).exp(), 0.0)


def metropolis(
    old: State, new: State, log_ratio: Float[Tensor, " n"], u: Float[Tensor, " n"], gradients: int = 1
) -> tuple[State, Info]:
    """`new` with probability min(1, exp(log_ratio)), else `old`, chain by chain; what is not finite is refused.

    Metropolis et al., 1953, and Hastings, 1970: log_ratio = log π(y)q(x|y) − log π(x)q(y|x). u: uniform in [0, 1).
    """
    accept = probability(new, log_ratio)
    taken = u < accept
    parts = zip(new, old, strict=True)
    state = State(*(chosen(taken, value, before) for value, before in parts))
    return state, Info(accept, ~new.energy.isfinite(), gradients)


def untested(energy: Float[Tensor, " n"], gradients: int = 1) -> Info:
    """What a step without a test tells of chains that it has brought to these energies."""
    return Info(torch.ones_like(energy), ~energy.isfinite(), gradients)


def kinetic(v: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """½‖v‖² of each chain."""
    return 0.5 * v.flatten(1).square().sum(1)
