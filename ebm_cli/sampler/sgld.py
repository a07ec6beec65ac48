"""Stochastic gradient Langevin dynamics: a gradient step and noise, no accept test."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, State


@dataclass(frozen=True)
class SGLD:
    """x' = x − η∇E(x) + √(2ηT) ξ, ξ ~ N(0, I).

    Welling and Teh, 2011, with the full gradient (also: unadjusted Langevin algorithm). Biased by the step: on
    E = a/2·x² the stationary variance is (T/a)/(1 − aη/2), that is T_eff = T/(1 − aη/2); unstable for
    aη ≥ 2.

    step_size: η > 0, in units of x² over energy. temperature: T ≥ 0; 0 is gradient descent.
    """

    step_size: float
    temperature: float

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.non_negative("temperature", self.temperature)

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> State:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

    def step(self, energy: nn.Module, state: State, rng: torch.Generator) -> tuple[State, Info]:
        η, T = self.step_size, self.temperature
        ξ = normal_like(state.x, rng)
        x = state.x - η * state.grad + (2 * η * T) ** 0.5 * ξ
        e, grad = energy_and_grad(energy, x)
        return State(x, e, grad), Info(accept=torch.ones_like(e))
