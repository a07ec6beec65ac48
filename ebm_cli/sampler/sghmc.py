"""Stochastic gradient Hamiltonian Monte Carlo: Langevin steps with momentum, which crosses flat valleys."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info


class SGHMCState(NamedTuple):
    """Position, velocity, energy and gradient."""

    x: Float[Tensor, "n *event"]
    v: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]


@dataclass(frozen=True)
class SGHMC:
    """v' = (1 − α)v − η∇E(x) + √(2αηT) ξ,  x' = x + v'.

    Chen, Fox and Guestrin, 2014 (arXiv 1402.4102), eq. 15. Velocities start at their small-step law N(0, ηT).
    Biased by the step: on E = a/2·x² the stationary variance of x is (T/a)/(1 − ηa/(2(2 − α))); unstable for
    ηa ≥ 2(2 − α). At α = 1 it is SGLD.

    step_size: η > 0, in units of x² over energy. friction: α in (0, 1], the share of velocity lost a step.
    temperature: T ≥ 0.
    """

    step_size: float
    friction: float
    temperature: float

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.positive("friction", self.friction)
        check.share("friction", self.friction)
        check.non_negative("temperature", self.temperature)

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> SGHMCState:
        v = (self.step_size * self.temperature) ** 0.5 * normal_like(x, rng)
        return SGHMCState(x, v, *energy_and_grad(energy, x))

    def step(self, energy: nn.Module, state: SGHMCState, rng: torch.Generator) -> tuple[SGHMCState, Info]:
        η, α, T = self.step_size, self.friction, self.temperature
        ξ = normal_like(state.x, rng)
        v = (1 - α) * state.v - η * state.grad + (2 * α * η * T) ** 0.5 * ξ
        x = state.x + v
        e, grad = energy_and_grad(energy, x)
        return SGHMCState(x, v, e, grad), Info(accept=torch.ones_like(e))
