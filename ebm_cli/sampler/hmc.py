"""Hamiltonian Monte Carlo: a long frictionless trajectory as a proposal, accepted or rejected, so without bias."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import SMOOTH, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import (
    CompilableKernel,
    Info,
    State,
    check_scales,
    kinetic,
    metropolis,
    per_chain,
    shortening_factors,
    uniform_like,
)


@dataclass(frozen=True)
class HMC(CompilableKernel):
    """v ~ N(0, T·I), L leapfrog steps of ε' from (x, v) to (y, w); y accepted with probability min(1, exp(−ΔH/T)).

    H = E + ½‖v‖². Duane et al., 1987; Neal, 2011 (arXiv 1206.1901), section 3.2. A leapfrog step is
    v ← v − ε'/2·∇E(x), x ← x + ε'v, v ← v − ε'/2·∇E(x). ε' = ε(1 + j·u), with a new u uniform on (−1, 1) for each
    chain and trajectory, breaks the resonances of a fixed length. With probability `short` ε' is smaller by a
    log-uniform factor of up to 33, for regions much narrower than most. A log-normal factor, exp(s·N(0, 1)), serves
    distributions of many widths, such as funnels. Exact: π ∝ exp(−E/T) is stationary at any ε, L, j and s, by detailed
    balance. A proposal that is not finite is rejected.

    step_size: ε, a time, in units of x over √energy; stable below 2/√curvature (> 0).
    leapfrog_steps: L, one gradient each (≥ 1).
    step_size_jitter: j (in [0, 1)).
    short: probability of a smaller step (in [0, 1]).
    log_step_std: s, the standard deviation of log ε' of each chain and trajectory (≥ 0).
    temperature: T (> 0).
    scales: see `Tunable`. An acceptance of 0.65 to 0.8 mixes fastest (Beskos et al., 2013; Betancourt, Byrne and
        Girolami, 2014).
    """

    adjusted = True
    spaces = SMOOTH
    test_per_step = True

    step_size: float
    leapfrog_steps: int
    step_size_jitter: float
    short: float
    log_step_std: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.count("leapfrog_steps", self.leapfrog_steps)
        check.half_open("step_size_jitter", self.step_size_jitter)
        check.fraction("short", self.short)
        check.non_negative("log_step_std", self.log_step_std)
        check.positive("temperature", self.temperature)
        check_scales(self.scales)

    @property
    def best_acceptance(self) -> float:
        """The mean acceptance that mixes fastest; one leapfrog step is MALA's proposal."""
        return 0.8 if self.leapfrog_steps > 1 else 0.574

    @property
    def passes(self) -> int:
        return self.leapfrog_steps

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        factors = []
        if self.short > 0:
            factors.append(shortening_factors(uniform_like(state.energy, rng), self.short))
        if self.log_step_std > 0:
            factors.append((self.log_step_std * normal_like(state.energy, rng)).exp())
        return normal_like(state.x, rng), uniform_like(state.energy, rng), uniform_like(state.energy, rng), *factors

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        ξ, jitter, u, *factors = noise
        ε = jittered(self.step_size, self.step_size_jitter, jitter)
        for factor in factors:
            ε = ε * factor
        return transition(energy, state, ξ, u, ε, self.leapfrog_steps, self.temperature)


def jittered(step_size: float | Float[Tensor, " n"], jitter: float, u: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return step sizes that differ from `step_size` by a relative amount of up to `jitter`; u is uniform in [0, 1)."""
    return step_size * (1 + jitter * (2 * u - 1))


def transition(
    energy: nn.Module,
    state: State,
    ξ: Float[Tensor, "n *event"],
    u: Float[Tensor, " n"],
    ε: Float[Tensor, " n"],
    steps: int,
    T: float,
) -> tuple[State, Info]:
    """Return the states after one trajectory and its test, for normal numbers ξ, uniform numbers u and step sizes ε."""
    v = T**0.5 * ξ
    end, w = trajectory(energy, state, v, per_chain(ε, state.x), steps)
    log_ratio = (state.energy + kinetic(v) - end.energy - kinetic(w)) / T
    return metropolis(state, end, log_ratio, u, gradients=steps)


def trajectory(energy: nn.Module, state: State, v: Tensor, ε: Tensor, steps: int) -> tuple[State, Tensor]:
    """Return the states and velocities after leapfrog steps of ε, one per row, from x with velocity v."""
    y, e, grad = state
    v = v - 0.5 * ε * grad
    for step in range(1, steps + 1):
        y = y + ε * v
        e, grad = energy_and_grad(energy, y)
        v = v - (ε if step < steps else 0.5 * ε) * grad
    return State(y, e, grad), v
