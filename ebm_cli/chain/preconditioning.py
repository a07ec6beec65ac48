"""Preconditioning as a change of units: a kernel with `scales` s moves y = x/s on E(s·y).

It needs no code in any kernel, and it is exact if the kernel is exact.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.sampler import EnergyState, Sampler, State


class RescaledEnergy(nn.Module):
    """E(s·y): an energy in the units of `scales`."""

    scales: Tensor

    def __init__(self, energy: nn.Module, scales: Float[Tensor, "*event"]) -> None:
        super().__init__()
        self.energy = energy
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, y: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.energy(self.scales * y)

    def energy_and_grad(self, y: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        e, grad = energy_and_grad(self.energy, self.scales * y)
        return e, self.scales * grad


@dataclass(frozen=True)
class Units:
    """The units in which a sampler with `scales` moves.

    scales: one per coordinate; None if x itself is moved.
    """

    scales: Float[Tensor, "*event"] | None

    @staticmethod
    def from_sampler(sampler: Sampler, x: Float[Tensor, "n *event"]) -> "Units":
        """Return the units of `sampler` for states like x; InputError if the number of its scales is wrong."""
        scales = getattr(sampler, "scales", None)
        if scales is None:
            return Units(None)
        if len(scales) != x[0].numel():
            raise InputError(
                f"sampler.scales must have one number per coordinate, {x[0].numel()} for event={list(x.shape[1:])}, "
                f"got {len(scales)}"
            )
        return Units(x.new_tensor(scales).view(x.shape[1:]))

    def energy(self, energy: nn.Module) -> nn.Module:
        """Return the energy as a function of x in these units."""
        return energy if self.scales is None else RescaledEnergy(energy, self.scales)

    def from_x(self, x: Tensor) -> Tensor:
        """Return x in these units."""
        return x if self.scales is None else x / self.scales

    def to_x(self, y: Tensor) -> Tensor:
        """Return the x of a state in these units."""
        return y if self.scales is None else y * self.scales

    def state(self, state: Any) -> State | EnergyState:
        """Return position, energy and gradient, if it has one, of a kernel's state, in the units of x."""
        if state.grad is None:
            return EnergyState(self.to_x(state.x), state.energy)
        grad = state.grad if self.scales is None else state.grad / self.scales
        return State(self.to_x(state.x), state.energy, grad)
