"""Stochastic gradient Hamiltonian Monte Carlo: Langevin steps with momentum, which crosses flat valleys."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import SMOOTH, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import CompilableKernel, Info, PhaseState, check_scales, unadjusted_info


@dataclass(frozen=True)
class SGHMC(CompilableKernel):
    """v' = (1 − α)v − η∇E(x) + √(2αηT) ξ,  x' = x + v'.

    Chen, Fox and Guestrin, 2014 (arXiv 1402.4102), eq. 15. Velocities start at N(0, ηT), the limit of small
    steps. Biased by the step: on E = a/2·x² the stationary variance of x is (T/a)/(1 − ηa/(2(2 − α))); unstable for
    ηa ≥ 2(2 − α). At α = 1 it is SGLD.

    step_size: η, in units of x² over energy (> 0).
    friction: α, the fraction of the velocity that is lost per step (in (0, 1]).
    temperature: T (≥ 0).
    scales: see `Tunable`.
    """

    adjusted = False
    spaces = SMOOTH
    test_per_step = True

    step_size: float
    friction: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.positive("friction", self.friction)
        check.fraction("friction", self.friction)
        check.non_negative("temperature", self.temperature)
        check_scales(self.scales)

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> PhaseState:
        v = (self.step_size * self.temperature) ** 0.5 * normal_like(x, rng)
        return PhaseState(x, v, *energy_and_grad(energy, x))

    def noise(self, state: PhaseState, rng: torch.Generator) -> tuple[Tensor, ...]:
        return (normal_like(state.x, rng),)

    def update(self, energy: nn.Module, state: PhaseState, noise: tuple[Tensor, ...]) -> tuple[PhaseState, Info]:
        η, α, T = self.step_size, self.friction, self.temperature
        (ξ,) = noise
        v = (1 - α) * state.v - η * state.grad + (2 * α * η * T) ** 0.5 * ξ
        x = state.x + v
        e, grad = energy_and_grad(energy, x)
        return PhaseState(x, v, e, grad), unadjusted_info(e)

    def step_size_for(self, curvature: float, bias: float) -> float:
        """Return η with 1/(1 − ηa/(2(2 − α))) = 1 + bias, the relative bias of the variance."""
        return 2 * (2 - self.friction) * bias / (curvature * (1 + bias))
