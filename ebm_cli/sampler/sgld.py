"""Stochastic gradient Langevin dynamics: a gradient step and noise, no accept test."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, Kernel, State, check_scales, mala, probability, untested


@dataclass(frozen=True)
class SGLD(Kernel):
    """x' = x − η∇E(x) + √(2ηT) ξ, ξ ~ N(0, I).

    Welling and Teh, 2011, with the full gradient (also: unadjusted Langevin algorithm). Biased by the step: on
    E = a/2·x² the stationary variance is (T/a)/(1 − aη/2), that is T_eff = T/(1 − aη/2); unstable for
    aη ≥ 2.

    step_size: η > 0, in units of x² over energy. temperature: T ≥ 0; 0 is gradient descent. scales: see
    `Tunable`.
    """

    adjusted = False
    test_per_step = True

    step_size: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.non_negative("temperature", self.temperature)
        check_scales(self.scales)

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> State:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        return (normal_like(state.x, rng),)

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        η, T = self.step_size, self.temperature
        (ξ,) = noise
        x = state.x - η * state.grad + (2 * η * T) ** 0.5 * ξ
        e, grad = energy_and_grad(energy, x)
        return State(x, e, grad), untested(e)

    def step_size_for(self, curvature: float, bias: float) -> float:
        """η with 1/(1 − aη/2) = 1 + bias, the relative bias of the variance."""
        return 2 * bias / (curvature * (1 + bias))

    def bias(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> dict[str, Float[Tensor, " n"]]:
        """mala_acceptance: the probability with which MALA would have taken the step; 1 is without bias."""
        η, T = self.step_size, self.temperature
        state = self.init(energy, x, rng)
        noise = self.noise(state, rng)
        new, _ = self.update(energy, state, noise)
        return {"mala_acceptance": probability(new, mala.log_ratio(state, new, noise[0], η, T))} if T > 0 else {}
