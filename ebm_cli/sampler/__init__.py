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
from ebm_cli.energy import energy_and_grad

# The smallest factor of a step size that `shortening_factors` returns.
MIN_STEP_FACTOR = 0.03


class Info(NamedTuple):
    """What one step reports, per chain.

    accept: acceptance probability of the proposal, 1 for kernels without a Metropolis test.
    diverging: True if the proposal had no finite energy.
    gradients: evaluations of energy and gradient, one number if it is equal for all chains.
    """

    accept: Float[Tensor, " n"]
    diverging: Bool[Tensor, " n"]
    gradients: Float[Tensor, " n"] | int


class State(NamedTuple):
    """A chain's position with its energy and gradient; kernels with momentum have their own type."""

    x: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


class EnergyState(NamedTuple):
    """A chain's position with its energy, for kernels that use no gradient."""

    x: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]

    @property
    def grad(self) -> None:
        """None: it is not known."""
        return None


class PhaseState(NamedTuple):
    """A chain's position and velocity with the energy and gradient at the position."""

    x: Float[Tensor, "n *event"]
    v: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


@runtime_checkable
class Sampler(Protocol):
    """A Markov kernel at a temperature. States have x, energy and grad, one row per chain; `grad` may be None.

    A kernel that does not work on every space declares `spaces` on its class, see `works_on`.
    """

    @property
    def temperature(self) -> float: ...

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Any:
        """Return the state of chains at x."""
        ...

    def step(self, energy: nn.Module, state: Any, rng: torch.Generator) -> tuple[Any, Info]:
        """Move every chain once."""
        ...


class CompilableKernel(ABC):
    """A sampler whose step is fixed tensor arithmetic on noise drawn up front: it can be compiled and captured.

    test_per_step: True if a chain stays exactly when its one proposal of a step is rejected, so that 1 − `Info.accept`
        is the probability to stay.
    """

    test_per_step = False

    @property
    def passes(self) -> int:
        """Return the number of successive evaluations of the energy in a step."""
        return 1

    @property
    def is_compilable(self) -> bool:
        """Return True if this sampler's step is fixed arithmetic; a sampler made of others may not be."""
        return True

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Any:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

    @abstractmethod
    def noise(self, state: Any, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Return all random numbers of one step."""

    @abstractmethod
    def update(self, energy: nn.Module, state: Any, noise: tuple[Tensor, ...]) -> tuple[Any, Info]:
        """Return the step that these random numbers give."""

    def step(self, energy: nn.Module, state: Any, rng: torch.Generator) -> tuple[Any, Info]:
        return self.update(energy, state, self.noise(state, rng))


@runtime_checkable
class CompilableOnSome(Protocol):
    """A sampler that has a form with fixed arithmetic on some energies."""

    def compilable_on(self, energy: nn.Module) -> CompilableKernel | None:
        """Return the kernel that makes the same transitions on this energy by fixed arithmetic, if there is one."""
        ...


def compilable_kernel(sampler: object, energy: nn.Module) -> CompilableKernel | None:
    """Return the form in which a sampler can be compiled on this energy; None if there is none."""
    if isinstance(sampler, CompilableKernel):
        return sampler if sampler.is_compilable else None
    return sampler.compilable_on(energy) if isinstance(sampler, CompilableOnSome) else None


@runtime_checkable
class Tunable(Protocol):
    """A kernel whose step size burn-in can set, and optionally one scale per coordinate.

    adjusted: True if a Metropolis test makes it exact at any step size.
    scales: the kernel moves x/scales (> 0).
    """

    adjusted: ClassVar[bool]

    @property
    def scales(self) -> list[float] | None: ...


@runtime_checkable
class Adjusted(Tunable, Protocol):
    """A Metropolis-adjusted kernel. best_acceptance: the mean acceptance at which it mixes fastest."""

    @property
    def best_acceptance(self) -> float: ...


@runtime_checkable
class Unadjusted(Tunable, Protocol):
    """A kernel without a Metropolis test, whose stationary distribution is biased by its step."""

    def step_size_for(self, curvature: float, bias: float) -> float:
        """Return the step size whose relative bias in a well of this curvature is `bias`."""
        ...


def is_unadjusted(sampler: object) -> bool:
    """Return whether a kernel declares that it has no Metropolis test, so that its step biases it."""
    return getattr(sampler, "adjusted", None) is False


@runtime_checkable
class HasLocalKernel(Protocol):
    """A sampler that mixes a simpler kernel with moves of another kind; both have one step size."""

    def local_kernel(self) -> Sampler:
        """Return the simpler kernel, which can be tuned."""
        ...


@runtime_checkable
class ReportsBias(Protocol):
    """A kernel that can estimate the bias caused by its step."""

    def bias(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> dict[str, Float[Tensor, " n"]]:
        """Return measures of one step from each x, by the names of metrics.json."""
        ...


def check_scales(scales: list[float] | None) -> None:
    """Raise InputError unless `scales` is None or a list of numbers > 0."""
    if scales is None:
        return
    if not isinstance(scales, list) or not scales:
        raise check.InputError(f"scales must be a list with one number per coordinate, got {scales!r}")
    for scale in scales:
        check.positive("scales", scale)


def uniform_like(x: Float[Tensor, "*shape"], rng: torch.Generator) -> Float[Tensor, "*shape"]:
    """Return uniform numbers in [0, 1) with the shape, dtype and device of x."""
    return torch.rand(x.shape, generator=rng, dtype=x.dtype, device=x.device)


def shortening_factors(u: Float[Tensor, " n"], fraction: float) -> Float[Tensor, " n"]:
    """Return factors of a step size: log-uniform from MIN_STEP_FACTOR to 1 for a fraction of u, and 1 for the rest.

    A kernel that draws its step size independently of x is exact if it is exact at each step size.

    u: uniform numbers in [0, 1).
    fraction: of the numbers that shorten the step (in (0, 1]).
    """
    return torch.where(u < fraction, MIN_STEP_FACTOR ** (u / fraction), 1.0)


def per_chain(value: Tensor, like: Tensor) -> Tensor:
    """Return one value per chain in a shape that multiplies states of `like`'s shape."""
    return value.view(-1, *[1] * (like.dim() - 1))


def select_chains(accept: Bool[Tensor, " n"], new: Tensor, old: Tensor) -> Tensor:
    """Return `new` in the rows where `accept` is true, and `old` in the others."""
    return torch.where(per_chain(accept, new), new, old)


def acceptance_probability(new: State, log_ratio: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return min(1, exp(log_ratio)), and 0 if the new energy or the ratio is not finite."""
    return torch.where(new.energy.isfinite() & log_ratio.isfinite(), log_ratio.clamp(max=0).exp(), 0.0)


def metropolis(
    old: State, new: State, log_ratio: Float[Tensor, " n"], u: Float[Tensor, " n"], gradients: int = 1
) -> tuple[State, Info]:
    """Return `new` with probability min(1, exp(log_ratio)), else `old`; proposals that are not finite are rejected.

    Metropolis et al., 1953, and Hastings, 1970: log_ratio = log π(y)q(x|y) − log π(x)q(y|x). u: uniform in [0, 1).
    """
    accept = acceptance_probability(new, log_ratio)
    accepted = u < accept
    state = State(*(select_chains(accepted, value, before) for value, before in zip(new, old, strict=True)))
    return state, Info(accept, ~new.energy.isfinite(), gradients)


def unadjusted_info(energy: Float[Tensor, " n"], gradients: int = 1) -> Info:
    """Return what a step without a Metropolis test reports, given the energies of its final states."""
    return Info(torch.ones_like(energy), ~energy.isfinite(), gradients)


def kinetic(v: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Return ½‖v‖² of each chain."""
    return 0.5 * v.flatten(1).square().sum(1)
