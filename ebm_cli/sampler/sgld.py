"""Stochastic gradient Langevin dynamics: a gradient step and noise, without a Metropolis test."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import SMOOTH, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import CompilableKernel, Info, State, acceptance_probability, check_scales, mala, unadjusted_info


@dataclass(frozen=True)
class SGLD(CompilableKernel):
    """x' = x − η∇E(x) + √(2ηT) ξ, ξ ~ N(0, I).

    Welling and Teh, 2011, with the full gradient (also: unadjusted Langevin algorithm). Biased by the step: on
    E = a/2·x² the stationary variance is (T/a)/(1 − aη/2), that is T_eff = T/(1 − aη/2); unstable for
    aη ≥ 2.

    step_size: η, in units of x² over energy (> 0).
    temperature: T; 0 is gradient descent (≥ 0).
    scales: see `Tunable`.
    """

    adjusted = False
    spaces = SMOOTH
    test_per_step = True

    step_size: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.non_negative("temperature", self.temperature)
        check_scales(self.scales)

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        return (normal_like(state.x, rng),)

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        η, T = self.step_size, self.temperature
        (ξ,) = noise
        x = state.x - η * state.grad + (2 * η * T) ** 0.5 * ξ
        e, grad = energy_and_grad(energy, x)
        return State(x, e, grad), unadjusted_info(e)

    def step_size_for(self, curvature: float, bias: float) -> float:
        """Return η with 1/(1 − aη/2) = 1 + bias, the relative bias of the variance."""
        return 2 * bias / (curvature * (1 + bias))

    def bias(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> dict[str, Float[Tensor, " n"]]:
        """Return mala_acceptance: the probability that MALA would accept the step; 1 means no bias."""
        η, T = self.step_size, self.temperature
        state = self.init(energy, x, rng)
        noise = self.noise(state, rng)
        new, _ = self.update(energy, state, noise)
        if T == 0:
            return {}
        return {"mala_acceptance": acceptance_probability(new, mala.log_ratio(state, new, noise[0], η, T))}
