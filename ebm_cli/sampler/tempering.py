"""Replica exchange: replicas at higher temperatures cross barriers and swap places with those at lower ones."""

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import CONTINUOUS, energy_and_grad
from ebm_cli.path.swap import swap_partners, swap_replicas, with_equal_swap_rates
from ebm_cli.rng import normal_like
from ebm_cli.sampler import (
    CompilableKernel,
    Info,
    State,
    check_scales,
    mala,
    metropolis,
    per_chain,
    shortening_factors,
    uniform_like,
)


class Replicas(NamedTuple):
    """All replicas of all chains, replica by replica, the coldest first.

    rungs: their states, K·n rows.
    temperatures, steps: T and η of each replica.
    partners: the partner of each replica in even and in odd steps, itself if it has none.
    odd: True if the next step is odd.
    accept: mean acceptance of each replica in the last step.
    swapped, tried: sums over steps of the swap probability of replicas k and k + 1, and the number of tries.
    """

    rungs: State
    temperatures: Float[Tensor, " K"]
    steps: Float[Tensor, " K"]
    partners: Int[Tensor, "2 K"]
    odd: Bool[Tensor, ""]
    accept: Float[Tensor, " K"]
    swapped: Float[Tensor, " pairs"]
    tried: Float[Tensor, " pairs"]

    @property
    def x(self) -> Tensor:
        return self._coldest(self.rungs.x)

    @property
    def energy(self) -> Tensor:
        return self._coldest(self.rungs.energy)

    @property
    def grad(self) -> Tensor:
        return self._coldest(self.rungs.grad)

    def swap_rates(self) -> Float[Tensor, " pairs"]:
        """Return the fraction of tried swaps of replicas k and k + 1 that happened, over chains and steps."""
        return self.swapped / self.tried.clamp(min=1)

    def _coldest(self, rows: Tensor) -> Tensor:
        return rows[: len(rows) // len(self.temperatures)]


@dataclass(frozen=True)
class Tempering(CompilableKernel):
    """K replicas at T·τ₁ < … < T·τ_K, τ₁ = 1: a MALA step of each, then neighbors swap places.

    Replicas i and j swap with probability min(1, exp((1/Tᵢ − 1/Tⱼ)(Eᵢ − Eⱼ))): Swendsen and Wang, 1986; Geyer, 1991.
    Even and odd pairs alternate (Okabe et al., 2001; Syed et al., 2022, Journal of the Royal Statistical Society B 84,
    321), which carries replicas through the ladder without turning back. Exact at every temperature; the coldest
    replica is the chain. Every step takes K gradients per chain, in one batch. The acceptance is that of MALA steps.

    step_size: η of all replicas, or a list with one per replica, in units of x² over energy (> 0).
    temperature: T (> 0).
    temperatures: τ, a rising list that starts with 1; auto for `replicas` of them, geometric up to `hottest` until
        burn-in spaces them for equal swap rates.
    replicas: K (≥ 2).
    hottest: τ_K (> 1).
    short: probability of a smaller MALA step, by a log-uniform factor of up to 33, drawn for each step and replica, for
        regions much narrower than most (in [0, 1]).
    scales: see `Tunable`.
    """

    adjusted = True
    spaces = CONTINUOUS
    best_acceptance = 0.574

    step_size: float | list[float]
    temperature: float
    temperatures: str | list[float]
    replicas: int
    hottest: float
    short: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("temperature", self.temperature)
        check.count("replicas", self.replicas, least=2)
        check.number("hottest", self.hottest)
        check.share("short", self.short)
        if self.hottest <= 1:
            raise check.InputError(f"hottest must be > 1, got {self.hottest}")
        if isinstance(self.temperatures, list):
            check_ladder(self.temperatures)
        else:
            check.one_of("temperatures", self.temperatures, ["auto"])
        if isinstance(self.step_size, list) and len(self.step_size) != len(self.ladder):
            raise check.InputError(
                f"step_size must be one number, or one for each of {len(self.ladder)} temperatures, "
                f"got {len(self.step_size)}"
            )
        for step_size in self.step_sizes:
            check.positive("step_size", step_size)
        check_scales(self.scales)

    @property
    def ladder(self) -> list[float]:
        """Return τ of each replica."""
        if isinstance(self.temperatures, list):
            return self.temperatures
        return np.geomspace(1.0, self.hottest, self.replicas).tolist()

    @property
    def step_sizes(self) -> list[float]:
        """Return η of each replica."""
        return self.step_size if isinstance(self.step_size, list) else [self.step_size] * len(self.ladder)

    def with_equal_swap_rates(self, swap_rates: list[float]) -> "Tempering":
        """Return the sampler with temperatures that would swap equally often, given the present swap rates."""
        return dataclasses.replace(self, temperatures=with_equal_swap_rates(self.ladder, swap_rates))

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Replicas:  # noqa: ARG002
        K = len(self.ladder)
        coldest = State(x, *energy_and_grad(energy, x))
        return Replicas(
            rungs=State(*(part.repeat(K, *[1] * (part.dim() - 1)) for part in coldest)),
            temperatures=self.temperature * x.new_tensor(self.ladder),
            steps=x.new_tensor(self.step_sizes),
            partners=torch.stack([swap_partners(K, odd, x.device) for odd in (False, True)]),
            odd=torch.zeros((), dtype=torch.bool, device=x.device),
            accept=x.new_zeros(K),
            swapped=x.new_zeros(K - 1),
            tried=x.new_zeros(K - 1),
        )

    def noise(self, state: Replicas, rng: torch.Generator) -> tuple[Tensor, ...]:
        e = state.rungs.energy
        which = (uniform_like(e, rng),) if self.short > 0 else ()
        return normal_like(state.rungs.x, rng), uniform_like(e, rng), uniform_like(e, rng), *which

    def update(self, energy: nn.Module, state: Replicas, noise: tuple[Tensor, ...]) -> tuple[Replicas, Info]:
        ξ, u, w, *which = noise
        K, old = len(state.temperatures), state.rungs
        n = len(old.energy) // K
        T, η = state.temperatures.repeat_interleave(n), state.steps.repeat_interleave(n)
        for r in which:
            η = η * shortening_factors(r, self.short)
        y = old.x - per_chain(η, old.x) * old.grad + per_chain((2 * η * T) ** 0.5, old.x) * ξ
        proposal = State(y, *energy_and_grad(energy, y))
        moved, info = metropolis(old, proposal, mala.log_ratio(old, proposal, ξ, η, T), u)

        partners = torch.where(state.odd, state.partners[1], state.partners[0])
        e, β = moved.energy.view(K, n), 1 / state.temperatures[:, None]
        swap = swap_replicas((β - β[partners]) * (e - e[partners]), w.view(K, n), partners)
        paired = partners > torch.arange(K, device=partners.device)
        return state._replace(
            rungs=State(*(swap.apply(part) for part in moved)),
            odd=~state.odd,
            accept=info.accept.view(K, n).mean(1),
            swapped=state.swapped + torch.where(paired, swap.probability.mean(1), 0.0)[:-1],
            tried=state.tried + paired[:-1],
        ), Info(info.accept[:n], info.diverging.view(K, n).any(0), K)


def check_ladder(temperatures: list[float]) -> None:
    """Raise InputError unless the temperatures are a rising list that starts with 1."""
    for factor in temperatures:
        check.positive("temperatures", factor)
    rising = all(a < b for a, b in pairwise(temperatures))
    if len(temperatures) < 2 or temperatures[0] != 1 or not rising:
        raise check.InputError(
            f"temperatures must be a rising list that starts with 1, such as [1,2,4], got {temperatures}"
        )
