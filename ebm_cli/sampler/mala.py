"""Metropolis-adjusted Langevin algorithm: SGLD's step as a proposal, accepted or rejected, so without bias."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import SMOOTH, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import CompilableKernel, Info, State, check_scales, metropolis, per_chain, uniform_like


@dataclass(frozen=True)
class MALA(CompilableKernel):
    """y = x − η∇E(x) + √(2ηT) ξ, accepted with probability min(1, π(y)q(x|y)/(π(x)q(y|x))), else x stays.

    Roberts and Tweedie, 1996 (Bernoulli 2, 341), with log q(y|x) = −‖y − x + η∇E(x)‖²/(4ηT) and
    log π = −E/T. Exact: π ∝ exp(−E/T) is stationary at any η, by detailed balance. A proposal whose
    energy or ratio is not finite is rejected. An acceptance of 0.574 mixes fastest in many dimensions (Roberts and
    Rosenthal, 1998).

    step_size: η, in units of x² over energy (> 0).
    temperature: T (> 0).
    scales: see `Tunable`.
    """

    adjusted = True
    spaces = SMOOTH
    best_acceptance = 0.574
    test_per_step = True

    step_size: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.positive("temperature", self.temperature)
        check_scales(self.scales)

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        return normal_like(state.x, rng), uniform_like(state.energy, rng)

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        η, T = self.step_size, self.temperature
        ξ, u = noise
        y = state.x - η * state.grad + (2 * η * T) ** 0.5 * ξ
        new = State(y, *energy_and_grad(energy, y))
        return metropolis(state, new, log_ratio(state, new, ξ, η, T), u)


def log_ratio(
    old: State,
    new: State,
    ξ: Float[Tensor, "n *event"],
    η: float | Float[Tensor, " n"],
    T: float | Float[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """Return log π(y)q(x|y) − log π(x)q(y|x) of Langevin proposals made with noise ξ.

    η and T: one number, or one per chain.
    """
    step = per_chain(η, new.grad) if isinstance(η, Tensor) else η
    log_forward = -0.5 * ξ.flatten(1).square().sum(1)
    log_reverse = -(old.x - new.x + step * new.grad).flatten(1).square().sum(1) / (4 * η * T)
    return (old.energy - new.energy) / T + log_reverse - log_forward
