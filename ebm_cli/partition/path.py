"""The way from a law whose normaliser is known to the model: U_β = U₀ + β(U − U₀), and steps along it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.partition.base import Base
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import Whitened
from ebm_cli.sampler import Sampler, State


@dataclass(frozen=True)
class Way:
    """space: the model, U. base: where paths begin, U₀. Every evaluation of U's gradient is counted in `spending`."""

    space: Whitened
    base: Base
    spending: Spending

    def at(self, beta: float) -> "Path":
        """The energy at β."""
        return Path(self, beta)

    def begin(self, n: int, rng: torch.Generator) -> "Seen":
        """Exact draws of the base."""
        return self.look(self.base.draw(n, rng))

    def look(self, z: Float[Tensor, "n d"]) -> "Seen":
        """States with all that is to be known of them."""
        self.spending.spend(len(z))
        return Seen(z, *energy_and_grad(self.space, z), *self.base.energy_and_grad(z))

    def seen(self, state: State, beta: float) -> "Seen":
        """What U_β and its gradient, β > 0, tell of U: U = U₀ + (U_β − U₀)/β. Costs no evaluation of the model."""
        if beta == 1:
            return Seen(*state, *self.base.energy_and_grad(state.x))
        u0, grad0 = self.base.energy_and_grad(state.x)
        return Seen(state.x, u0 + (state.energy - u0) / beta, grad0 + (state.grad - grad0) / beta, u0, grad0)


class Seen(NamedTuple):
    """States with U and U₀, and the gradient of either."""

    z: Float[Tensor, "n d"]
    u: Float[Tensor, " n"]
    grad: Float[Tensor, "n d"]
    u0: Float[Tensor, " n"]
    grad0: Float[Tensor, "n d"]

    @property
    def drive(self) -> Float[Tensor, " n"]:
        """−∂U_β/∂β = U₀ − U, in double precision; −∞ where the energy is not a number."""
        v = self.u0.double() - self.u.double()
        return torch.where(v.isnan(), -torch.inf, v)

    def state(self, beta: float) -> State:
        """U_β and its gradient."""
        if beta == 1:
            return State(self.z, self.u, self.grad)
        return State(self.z, self.u0 + beta * (self.u - self.u0), self.grad0 + beta * (self.grad - self.grad0))

    def rows(self, chosen: Tensor) -> "Seen":
        """The states of these numbers, in their order."""
        return Seen(*(part[chosen] for part in self))


class Path(nn.Module):
    """U_β of a way. beta: β in (0, 1]; at 1 the base does not enter, so that states may leave its support."""

    def __init__(self, way: Way, beta: float) -> None:
        super().__init__()
        self.way, self.space, self.beta = way, way.space, beta

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        u = self.space(z)
        if self.beta == 1:
            return u
        u0 = self.way.base.energy_and_grad(z)[0]
        return u0 + self.beta * (u - u0)

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        self.way.spending.spend(len(z))
        state = Seen(z, *energy_and_grad(self.space, z), *self.way.base.energy_and_grad(z)).state(self.beta)
        return state.energy, state.grad


def moved(way: Way, kernel: Sampler, beta: float, seen: Seen, rng: torch.Generator) -> Seen:
    """One transition of every chain at β, from what is known of where they are."""
    return way.seen(kernel.step(way.at(beta), seen.state(beta), rng)[0], beta)
