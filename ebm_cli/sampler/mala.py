"""Metropolis-adjusted Langevin algorithm: SGLD's step as a proposal, accepted or refused, so without bias."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, Kernel, State, check_scales, metropolis, per_chain, uniform_like


@dataclass(frozen=True)
class MALA(Kernel):
    """y = x − η∇E(x) + √(2ηT) ξ, taken with probability min(1, π(y)q(x|y)/(π(x)q(y|x))), else x stays.

    Roberts and Tweedie, 1996 (Bernoulli 2, 341), with log q(y|x) = −‖y − x + η∇E(x)‖²/(4ηT) and
    log π = −E/T. Exact: π ∝ exp(−E/T) is stationary at any η, by detailed balance. A proposal whose
    energy or ratio is not finite is refused.

    step_size: η > 0, in units of x² over energy. temperature: T > 0. scales: see `Tunable`. An
    acceptance of 0.574 mixes fastest in many dimensions (Roberts and Rosenthal, 1998).
    """

    adjusted = True
    best_acceptance = 0.574
    test_per_step = True

    step_size: float
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.positive("temperature", self.temperature)
        check_scales(self.scales)

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> State:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

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
    """log π(y)q(x|y) − log π(x)q(y|x) of Langevin proposals made with noise ξ; η and T: a number, or one a chain."""
    step = per_chain(η, new.grad) if isinstance(η, Tensor) else η
    log_forth = -0.5 * ξ.flatten(1).square().sum(1)
    log_back = -(old.x - new.x + step * new.grad).flatten(1).square().sum(1) / (4 * η * T)
    return (old.energy - new.energy) / T + log_back - log_forth
