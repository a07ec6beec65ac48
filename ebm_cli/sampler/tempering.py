"""Replica exchange: replicas along a path to a density that is easy to sample move and swap places."""

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import TypeIs

from ebm_cli import check
from ebm_cli.data import DISCRETE, SPACES
from ebm_cli.energy import space_of
from ebm_cli.path import Path
from ebm_cli.sampler import Adjusted, CompilableKernel, Info, Sampler, State, check_scales, uniform_like
from ebm_cli.sampler._replica_exchange import ReplicaExchange
from ebm_cli.sampler._replicas import Replicas, ReplicaStates, with_replica_count


@dataclass(frozen=True)
class Tempering(CompilableKernel):
    """Replicas at 1 = β₁ > … > β_K of a path: a step of the kernel in each, then neighbors swap places.

    Replicas i and j swap with probability min(1, exp((βᵢ − βⱼ)(ΔUⱼ − ΔUᵢ))), ΔU = U₀ − U (Swendsen and Wang, 1986;
    Geyer, 1991). Even and odd pairs alternate, so that a state moves in one direction until a swap is rejected (Okabe
    et al., 2001; Syed et al., 2022, Journal of the Royal Statistical Society B 84, 321). If the path has exact draws,
    every step draws the last replica. The sampler is exact if its kernel is. The chain is the model's replica, and the
    acceptance is that of the kernel at β = 1. All replicas of all chains move in one batch, for K times the kernel's
    gradients.

    kernel: any sampler with a Metropolis test, at temperature 1 of each density.
    temperature: T of the model (> 0).
    step_factors: length of each replica's step as a multiple of the kernel's own (> 0). A replica that is drawn has
        none. None: the path's factors, until burn-in tunes them.
    scales: see `Tunable`; only for paths in the coordinates of the states.
    path: the densities and the places β of the replicas.
    """

    adjusted = True
    # Replicas work wherever their kernel does.
    spaces = frozenset(SPACES)

    kernel: Sampler
    temperature: float
    step_factors: list[float] | None
    scales: list[float] | None
    path: Path

    def __post_init__(self) -> None:
        check.every(
            lambda: check.positive("temperature", self.temperature),
            lambda: check_kernel(self.kernel),
            lambda: check_path(self.path),
            lambda: check_step_factors(self.step_factors, self.path),
            lambda: check_scales(self.scales),
        )
        if self.scales is not None and self.path.has_draws:
            raise check.InputError("scales must be null for path=base, whose coordinates are scaled by its rows")

    @property
    def best_acceptance(self) -> float:
        """Return the mean acceptance at which the kernel mixes fastest. Raises AttributeError if it is not tuned."""
        if not isinstance(self.kernel, Adjusted):
            raise AttributeError(f"burn-in does not tune {type(self.kernel).__name__}")
        return self.kernel.best_acceptance

    @property
    def passes(self) -> int:
        return getattr(self.kernel, "passes", 1)

    @property
    def is_compilable(self) -> bool:
        return isinstance(self.kernel, CompilableKernel) and not self.path.has_draws

    @property
    def replica_step_factors(self) -> list[float]:
        """Return the step factors in use: those given, otherwise the path's."""
        return self.path.step_factors() if self.step_factors is None else self.step_factors

    def step_factors_for(self, energy: nn.Module) -> list[float]:
        """Return the step factors for an energy: 1 for discrete states, which cannot be scaled."""
        factors = self.replica_step_factors
        return [1.0] * len(factors) if space_of(energy) in DISCRETE else factors

    def exchange(self, energy: nn.Module) -> ReplicaExchange:
        """Return the step for this energy."""
        path = self.path.annealing_path(energy, self.temperature)
        return ReplicaExchange(path, self.kernel, self.temperature, self.path.has_draws)

    def with_equal_swap_rates(self, swap_rates: list[float]) -> "Tempering":
        """Return the sampler with replicas that would swap equally often, given the present swap rates."""
        return dataclasses.replace(self, path=self.path.with_equal_swap_rates(swap_rates))

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Replicas:  # noqa: ARG002
        exchange = self.exchange(energy)
        factors = self.step_factors_for(energy)
        return exchange.init(exchange.path.space.coordinates(x), self.path.replica_betas(), factors)

    def resume(self, energy: nn.Module, stored: ReplicaStates) -> Replicas:
        """Return replicas that continue from stored states."""
        betas = self.path.replica_betas()
        stored = stored._replace(x=with_replica_count(stored.x, len(betas)))
        return self.exchange(energy).resume(stored, betas, self.step_factors_for(energy))

    def states(self, energy: nn.Module, replicas: Replicas) -> Float[Tensor, "n K *event"]:
        """Return the states of all replicas of each chain."""
        return self.exchange(energy).all_states(replicas)

    def delta_u(self, energy: nn.Module, replicas: Replicas) -> Float[Tensor, "rows n"]:
        """Return ΔU of all replicas on each segment of the path (see `ReplicaExchange.delta_u`)."""
        return self.exchange(energy).delta_u(replicas)

    def step(self, energy: nn.Module, state: Replicas, rng: torch.Generator) -> tuple[Replicas, Info]:
        if self.is_compilable:
            return super().step(energy, state, rng)
        return self.exchange(energy).step(state, rng)

    def noise(self, state: Replicas, rng: torch.Generator) -> tuple[Tensor, ...]:
        assert isinstance(self.kernel, CompilableKernel)
        z, u, grad = state.states[:3]
        return *self.kernel.noise(State(z, u, grad), rng), uniform_like(u, rng)

    def update(self, energy: nn.Module, state: Replicas, noise: tuple[Tensor, ...]) -> tuple[Replicas, Info]:
        assert isinstance(self.kernel, CompilableKernel)
        exchange = self.exchange(energy)
        replicas = slice(0, len(state.step_factors))
        tempered, kernel_state, lengths = exchange.kernel_states(state, replicas)
        kernel_state, info = self.kernel.update(tempered, kernel_state, noise[:-1])
        moved = exchange.path_states(state, replicas, lengths, kernel_state)
        return exchange.swap_neighbors(state, moved, info, noise[-1])


def has_exact_draws(sampler: object) -> TypeIs[Tempering]:
    """Return True for replica exchange along a path whose far end is drawn exactly in every step."""
    return isinstance(sampler, Tempering) and sampler.path.has_draws


def check_kernel(kernel: object) -> None:
    """Raise InputError unless this is a plain kernel with a Metropolis test, at temperature 1 and without scales."""
    if not getattr(kernel, "adjusted", False) or isinstance(kernel, Tempering):
        raise check.InputError(
            "kernel must be a sampler with a Metropolis test: hmc, mala or nuts; or gibbs for discrete states"
        )
    for name, value in (("temperature", 1.0), ("scales", None)):
        if getattr(kernel, name, value) != value:
            raise check.InputError(
                f"kernel.{name} must be {'null' if value is None else value}, got {getattr(kernel, name)}: set "
                f"sampler.{name}"
            )


def check_path(path: object) -> None:
    """Raise InputError unless there is a path."""
    if not isinstance(path, Path):
        raise check.InputError("path is missing. Choose path=hot or path=base")


def check_step_factors(step_factors: object, path: Path) -> None:
    """Raise InputError unless this is None or a list with one number > 0 for each replica."""
    if step_factors is None:
        return
    if not isinstance(step_factors, list):
        raise check.InputError(f"step_factors must be a list with one number per replica, got {step_factors!r}")
    for factor in step_factors:
        check.positive("step_factors", factor)
    moving = len(path.replica_betas()) - path.has_draws
    if len(step_factors) != moving:
        raise check.InputError(f"step_factors must have {moving} numbers, one per replica, got {len(step_factors)}")
