"""MALA that also jumps: local Langevin steps mixed with far proposals, for separate modes in few dimensions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import CONTINUOUS, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import CompilableKernel, Info, State, mala, metropolis, select_chains, uniform_like


@dataclass(frozen=True)
class JumpMALA(CompilableKernel):
    """With probability j: y = sξ', accepted with probability min(1, exp(−(E(y) − E(x))/T)·φₛ(x)/φₛ(y)); else MALA.

    φₛ is the density of N(0, s²I). The first kind is an independence sampler (Hastings, 1970; Tierney, 1994, Annals of
    Statistics 22, 1701, section 2.3.3), the second as in sampler=mala. The kind is drawn independently of x, so the
    mixture is reversible because both are. Exact: π ∝ exp(−E/T) is stationary at any η, j and s. Jumps are accepted at
    the rate at which a broad Gaussian hits the model's mass: often in two dimensions, never in fifty.

    step_size: η of the Langevin steps, in units of x² over energy (> 0).
    jump_probability: j, the probability of a jump (in [0, 1]).
    jump_std: s, in units of x, about the data's standard deviation, so that nothing lies beyond 3s (> 0).
    temperature: T (> 0).
    """

    adjusted = True
    spaces = CONTINUOUS
    test_per_step = True

    step_size: float
    jump_probability: float
    jump_std: float
    temperature: float

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.fraction("jump_probability", self.jump_probability)
        check.positive("jump_std", self.jump_std)
        check.positive("temperature", self.temperature)

    def local_kernel(self) -> mala.MALA:
        """Return MALA, the kernel of all steps but jumps."""
        return mala.MALA(self.step_size, self.temperature, scales=None)

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        which = torch.rand(state.energy.shape, generator=rng, device=state.x.device)
        return which, normal_like(state.x, rng), uniform_like(state.energy, rng)

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        η, s, T = self.step_size, self.jump_std, self.temperature
        which, ξ, u = noise
        far = which < self.jump_probability
        y = select_chains(far, s * ξ, state.x - η * state.grad + (2 * η * T) ** 0.5 * ξ)
        new = State(y, *energy_and_grad(energy, y))
        squares = new.x.flatten(1).square().sum(1) - state.x.flatten(1).square().sum(1)
        jump_ratio = (state.energy - new.energy) / T + squares / (2 * s**2)
        return metropolis(state, new, torch.where(far, jump_ratio, mala.log_ratio(state, new, ξ, η, T)), u)
