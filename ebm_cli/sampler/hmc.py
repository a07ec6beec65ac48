"""Hamiltonian Monte Carlo: a long frictionless flight as a proposal, accepted or refused, so without bias."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, Kernel, State, check_scales, kinetic, metropolis, per_chain, shortened, uniform_like


@dataclass(frozen=True)
class HMC(Kernel):
    """v ~ N(0, T·I), L leapfrog steps of ε' from (x, v) to (y, w); y taken with probability min(1, exp(−ΔH/T)).

    H = E + ½‖v‖². Duane et al., 1987; Neal, 2011 (arXiv 1206.1901), section 3.2. A leapfrog step is
    v ← v − ε'/2·∇E(x), x ← x + ε'v, v ← v − ε'/2·∇E(x). ε' = ε(1 + j·u) with u uniform on (−1, 1), anew for each
    chain and flight, breaks the resonances of a fixed length; with probability `short` ε' is shorter, by up to 33 times
    and log-uniformly, for places much narrower than most. Exact: π ∝ exp(−E/T) is stationary at any ε, L and j, by
    detailed balance. A flight whose end is not finite is refused.

    step_size: ε > 0, a time: in units of x over √energy; stable below 2/√curvature. leapfrog_steps: L ≥ 1, a gradient
    each. jitter: j in [0, 1). short: in [0, 1]. temperature: T > 0. scales: see `Tunable`. An acceptance of
    0.65 to 0.8 mixes fastest (Beskos et al., 2013; Betancourt, Byrne and Girolami, 2014).
    """

    adjusted = True
    best_acceptance = 0.8
    test_per_step = True

    step_size: float
    leapfrog_steps: int
    jitter: float
    short: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.count("leapfrog_steps", self.leapfrog_steps)
        check.half_open("jitter", self.jitter)
        check.share("short", self.short)
        check.positive("temperature", self.temperature)
        check_scales(self.scales)

    @property
    def passes(self) -> int:
        return self.leapfrog_steps

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> State:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        which = (uniform_like(state.energy, rng),) if self.short > 0 else ()
        return normal_like(state.x, rng), uniform_like(state.energy, rng), uniform_like(state.energy, rng), *which

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        ξ, jitter, u, *which = noise
        T, L = self.temperature, self.leapfrog_steps
        ε = self.step_size * (1 + self.jitter * (2 * jitter - 1))
        for r in which:
            ε = ε * shortened(r, self.short)
        ε = per_chain(ε, state.x)
        v = T**0.5 * ξ
        end, w = flight(energy, state, v, ε, L)
        log_ratio = (state.energy + kinetic(v) - end.energy - kinetic(w)) / T
        return metropolis(state, end, log_ratio, u, gradients=L)


def flight(energy: nn.Module, state: State, v: Tensor, ε: Tensor, steps: int) -> tuple[State, Tensor]:
    """Where so many leapfrog steps of ε (one a row) lead from x with velocity v, and the velocity there."""
    y, e, grad = state
    v = v - 0.5 * ε * grad
    for flown in range(1, steps + 1):
        y = y + ε * v
        e, grad = energy_and_grad(energy, y)
        v = v - (ε if flown < steps else 0.5 * ε) * grad
    return State(y, e, grad), v
