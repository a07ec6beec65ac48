"""The way from a law whose normaliser is known to the model: U_β = U₀ + β(U − U₀), and steps along it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import check_bounded, energy_and_grad
from ebm_cli.partition.base import Base
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import Whitened
from ebm_cli.sampler import Sampler, State, per_chain

# One β for all rows, or one for each.
Beta = float | Float[Tensor, " n"]


@dataclass(frozen=True)
class Way:
    """space: the model, U. base: where paths begin, U₀. Every evaluation of U's gradient is counted in `spending`."""

    space: Whitened
    base: Base
    spending: Spending

    def at(self, beta: Beta) -> "Path":
        """The energy at β."""
        return Path(self, beta)

    def begin(self, n: int, rng: torch.Generator) -> "Seen":
        """Exact draws of the base."""
        return self.look(self.base.draw(n, rng))

    def look(self, z: Float[Tensor, "n d"]) -> "Seen":
        """States with all that is to be known of them; InputError where U is −∞."""
        self.spending.spend(len(z))
        u, grad = energy_and_grad(self.space, z)
        if bool((u == -torch.inf).any()):
            check_bounded(u, self.space.states(z))
        return Seen(z, u, grad, *self.base.energy_and_grad(z))

    def seen(self, state: State, beta: Beta) -> "Seen":
        """What U_β and its gradient, β > 0, tell of U: U = U₀ + (U_β − U₀)/β. Costs no evaluation of the model."""
        u0, grad0 = self.base.energy_and_grad(state.x)
        u = mine(beta, state.energy, u0 + (state.energy - u0) / beta)
        grad = mine(beta, state.grad, grad0 + (state.grad - grad0) / a_row(beta))
        return Seen(state.x, u, grad, u0, grad0)


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

    def state(self, beta: Beta) -> State:
        """U_β and its gradient."""
        e = mine(beta, self.u, self.u0 + beta * (self.u - self.u0))
        grad = mine(beta, self.grad, self.grad0 + a_row(beta) * (self.grad - self.grad0))
        return State(self.z, e, grad)

    def rows(self, chosen: Tensor | slice) -> "Seen":
        """The states of these numbers, in their order."""
        return Seen(*(part[chosen] for part in self))


class Path(nn.Module):
    """U_β of a way. beta: β in (0, 1], or one a row; at 1 the base does not enter, so states may leave its support."""

    def __init__(self, way: Way, beta: Beta) -> None:
        super().__init__()
        self.way, self.space, self.beta = way, way.space, beta

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        u, u0 = self.space(z), self.way.base.energy_and_grad(z)[0]
        return mine(self.beta, u, u0 + self.beta * (u - u0))

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        state = self.way.look(z).state(self.beta)
        return state.energy, state.grad


class CountedPath(Path):
    """A path whose energies without a gradient are counted as spent, too."""

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        self.way.spending.spend(len(z))
        return super().forward(z)


def mine(beta: Beta, model: Float[Tensor, "n *d"], between: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
    """The model's own where β is 1, as the base may be infinite there; else what lies between the two."""
    if isinstance(beta, Tensor):
        return torch.where(per_chain(beta == 1, model), model, between)
    return model if beta == 1 else between


def a_row(beta: Beta) -> "float | Float[Tensor, 'n 1']":
    """β to multiply rows."""
    return beta[:, None] if isinstance(beta, Tensor) else beta


def moved(way: Way, kernel: Sampler, beta: float, seen: Seen, rng: torch.Generator) -> Seen:
    """One transition of every chain at β, from what is known of where they are."""
    return way.seen(kernel.step(way.at(beta), seen.state(beta), rng)[0], beta)
