"""The path of energies U_β = U₀ + β(U − U₀) from a base distribution, β = 0, to the model, β = 1."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.energy import space_of
from ebm_cli.energy._capabilities import Conditionals, offers
from ebm_cli.path._base_distribution import BaseDistribution, IndependentSites, NoBase
from ebm_cli.path._coordinates import Coordinates, UnchangedCoordinates, WhitenedEnergy

Built = TypeVar("Built")
# One β for all rows, a number or a vector of length 1, or one β per row.
Beta = float | Float[Tensor, " _"]


class PathStates(NamedTuple):
    """States z with the model's energy U and the base's energy U₀, and the gradient of each."""

    z: Float[Tensor, "n *d"]
    u: Float[Tensor, " n"]
    grad: Float[Tensor, "n *d"]
    u0: Float[Tensor, " n"]
    grad0: Float[Tensor, "n *d"]

    @property
    def delta_u(self) -> Float[Tensor, " n"]:
        """Return U₀ − U = −∂U_β/∂β in double precision; −∞ if an energy is not a number."""
        v = self.u0.double() - self.u.double()
        return torch.where(v.isnan(), -torch.inf, v)

    def energy_and_grad(self, beta: Beta) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        """Return U_β and its gradient."""
        e = select_at_beta_one(beta, self.u, self.u0 + beta * (self.u - self.u0))
        grad = self.grad0 + per_row(beta, self.grad) * (self.grad - self.grad0)
        return e, select_at_beta_one(beta, self.grad, grad)

    def select(self, rows: Tensor | slice) -> "PathStates":
        """Return the states with these row numbers, in this order."""
        return PathStates(*(part[rows] for part in self))


@dataclass(frozen=True)
class AnnealingPath:
    """space: the model, U, in the coordinates that kernels move. base: the base distribution, U₀.

    It is also one segment of a path through several models (see `PiecewisePath`), whose base may be a model.
    """

    space: Coordinates
    base: BaseDistribution | WhitenedEnergy

    @property
    def segments(self) -> "tuple[AnnealingPath, ...]":
        """Return the linear segments of this path: one."""
        return (self,)

    def without_base(self) -> "AnnealingPath":
        """Return the path for states at β = 1, where the base does not enter and need not be evaluated."""
        return dataclasses.replace(self, base=NoBase())

    def energy_at(self, beta: Beta, lengths: Tensor | None = None) -> "TemperedEnergy":
        """Return the energy U_β, as a function of z/s for lengths s if they are given."""
        return (TemperedConditionals if self.has_conditionals else TemperedEnergy)(self, beta, lengths)

    @property
    def has_conditionals(self) -> bool:
        """Return True if the model gives the conditional distributions of its sites."""
        return isinstance(self.space, UnchangedCoordinates) and offers(self.space.energy, Conditionals)

    def draw_base(self, n: int, rng: torch.Generator) -> PathStates:
        """Return exact draws of the base."""
        assert not isinstance(self.base, WhitenedEnergy)
        return self.evaluate(self.base.draw(n, rng))

    def evaluate(self, z: Float[Tensor, "n *d"]) -> PathStates:
        """Return states with both energies and gradients."""
        return PathStates(z, *self.evaluate_model(z), *self.evaluate_base(z))

    def evaluate_model(self, z: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        """Return U and its gradient."""
        return self.space.energy_and_grad(z)

    def evaluate_base(self, z: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        """Return U₀ and its gradient."""
        return self.base.energy_and_grad(z)

    def from_base(
        self, z: Float[Tensor, "n *d"], energy: Float[Tensor, " n"], grad: Float[Tensor, "n *d"]
    ) -> PathStates:
        """Return states given U₀ and its gradient."""
        return PathStates(z, *self.evaluate_model(z), energy, grad)

    def from_tempered(
        self, z: Float[Tensor, "n *d"], energy: Float[Tensor, " n"], grad: Float[Tensor, "n *d"], beta: Beta
    ) -> PathStates:
        """Return states given U_β and its gradient (β > 0), by U = U₀ + (U_β − U₀)/β. The model is not evaluated."""
        u0, grad0 = self.evaluate_base(z)
        u = select_at_beta_one(beta, energy, u0 + (energy - u0) / beta)
        of_model = grad0 + (grad - grad0) / per_row(beta, grad)
        return PathStates(z, u, select_at_beta_one(beta, grad, of_model), u0, grad0)


def cached_path(cache: dict[str, Any], energy: nn.Module, temperature: float, build: Callable[[], Built]) -> Built:
    """Return the path in `cache` if it belongs to this energy and temperature; otherwise build it and keep it there."""
    if cache.get("energy") is not energy or cache["temperature"] != temperature:
        cache.update(energy=energy, temperature=temperature, path=build())
    return cache["path"]


class TemperedEnergy(nn.Module):
    """The energy U_β of a path.

    beta: in (0, 1], one number or one per row. At 1 the base does not enter, so that states may leave its support.
    lengths: s of each row, in a shape that multiplies states; the energy is then U_β(s·y). A kernel that moves y by
        a step makes a step s times as long.
    """

    def __init__(self, path: AnnealingPath, beta: Beta, lengths: Tensor | None = None) -> None:
        super().__init__()
        self.path, self.model, self.beta, self.lengths = path, path.space, beta, lengths
        self.space = space_of(path.space)

    def forward(self, y: Float[Tensor, "n *d"]) -> Float[Tensor, " n"]:
        z = y if self.lengths is None else self.lengths * y
        u, u0 = self.model(z), self.path.base.energy_and_grad(z)[0]
        return select_at_beta_one(self.beta, u, u0 + self.beta * (u - u0))

    def energy_and_grad(self, y: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        if self.lengths is None:
            return self.path.evaluate(y).energy_and_grad(self.beta)
        e, grad = self.path.evaluate(self.lengths * y).energy_and_grad(self.beta)
        return e, self.lengths * grad


class TemperedConditionals(TemperedEnergy):
    """The energy U_β of discrete states, with the conditional distributions that the model gives."""

    def independent_sites(self) -> list[Int[Tensor, " _"]]:
        return self._conditionals.independent_sites()

    def site_logits(self, x: Float[Tensor, "n *event"], sites: Int[Tensor, " m"]) -> Float[Tensor, "n m k"]:
        logits = self._conditionals.site_logits(x, sites) / cast(Any, self.model).temperature
        of_base = self.path.base.site_logits(sites) if isinstance(self.path.base, IndependentSites) else 0.0
        return of_base + per_row(self.beta, logits) * (logits - of_base)

    @property
    def _conditionals(self) -> Conditionals:
        return cast(Any, self.model).energy


def select_at_beta_one(
    beta: Beta, model: Float[Tensor, "n *d"], between: Float[Tensor, "n *d"]
) -> Float[Tensor, "n *d"]:
    """Return the model's values where β is 1, because the base may be infinite there; otherwise `between`."""
    if isinstance(beta, Tensor):
        return torch.where(per_row(beta == 1, model), model, between)
    return model if beta == 1 else between


def per_row(value: Any, like: Tensor) -> Any:
    """Return one value per row in a shape that multiplies rows of this shape; one number for all as it is."""
    return value.view(-1, *[1] * (like.dim() - 1)) if isinstance(value, Tensor) else value
