"""Underdamped Langevin dynamics by the BAOAB splitting: momentum without bias in x on a quadratic."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import SMOOTH, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import CompilableKernel, Info, PhaseState, check_scales, kinetic, unadjusted_info


@dataclass(frozen=True)
class Underdamped(CompilableKernel):
    """dx = v dt, dv = −∇E(x) dt − γv dt + √(2γT) dW, a step of η as B A O A B.

    B: v ← v − η/2·∇E(x).  A: x ← x + η/2·v.  O: v ← cv + √((1 − c²)T) ξ with c = exp(−γη).
    Leimkuhler and Matthews, 2013 (Applied Mathematics Research eXpress, 34), eqs. 9–11; unit mass. On E = a/2·x² x has
    variance T/a, without bias, and v has T(1 − aη²/4), at any γ; unstable for η²a ≥ 4. On other energies the bias of x
    is of order η².

    step_size: η, a time, in units of x over √energy (> 0).
    friction: γ, in units of 1/time (> 0).
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
        check.non_negative("temperature", self.temperature)
        check_scales(self.scales)

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> PhaseState:
        return PhaseState(x, self.temperature**0.5 * normal_like(x, rng), *energy_and_grad(energy, x))

    def noise(self, state: PhaseState, rng: torch.Generator) -> tuple[Tensor, ...]:
        return (normal_like(state.x, rng),)

    def update(self, energy: nn.Module, state: PhaseState, noise: tuple[Tensor, ...]) -> tuple[PhaseState, Info]:
        new, _, _ = self._baoab(energy, state, noise)
        return new, unadjusted_info(new.energy)

    def _baoab(
        self, energy: nn.Module, state: PhaseState, noise: tuple[Tensor, ...]
    ) -> tuple[PhaseState, Tensor, Tensor]:
        """Return the new state, and the velocities before and after O."""
        η, T, c = self.step_size, self.temperature, math.exp(-self.friction * self.step_size)
        (ξ,) = noise
        before = state.v - 0.5 * η * state.grad
        after = c * before + ((1 - c**2) * T) ** 0.5 * ξ
        x = state.x + 0.5 * η * (before + after)
        e, grad = energy_and_grad(energy, x)
        return PhaseState(x, after - 0.5 * η * grad, e, grad), before, after

    def step_size_for(self, curvature: float, bias: float) -> float:
        """Return η with aη²/4 = bias, the relative bias of the velocity's variance."""
        return 2 * (bias / curvature) ** 0.5

    def bias(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> dict[str, Float[Tensor, " n"]]:
        """Return energy_error: |ΔH| over the parts A and B of one step, H = E + ½‖v‖², in units of energy.

        The true flow keeps H there; Sivak, Chodera and Crooks, 2013 (Phys. Rev. X 3, 011007), call its change shadow
        work.
        """
        state = self.init(energy, x, rng)
        new, before, after = self._baoab(energy, state, self.noise(state, rng))
        change = new.energy + kinetic(new.v) - state.energy - kinetic(state.v)
        return {"energy_error": (change - (kinetic(after) - kinetic(before))).abs()}
