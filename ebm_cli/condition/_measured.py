"""A state is observed through an operator and Gaussian noise: its energy given what was measured."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.condition import Condition, Observation
from ebm_cli.energy import CONTINUOUS


class MeasuredEnergy(nn.Module):
    """E(x | y) = E(x) + T‖y − A(x)‖²/(2σ²), for y = A(x) + σξ with ξ standard normal.

    energy: E. operator: A, differentiable. y: what was measured. sigma: σ (> 0). temperature: T.
    """

    drawn: Tensor
    y: Tensor

    def __init__(
        self,
        energy: nn.Module,
        operator: nn.Module,
        y: Float[Tensor, "*shape"],
        sigma: float,
        temperature: float,
        event: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.energy, self.operator, self.event = energy, operator, event
        self.weight = temperature / (2 * sigma**2)
        self.register_buffer("y", y, persistent=False)
        self.register_buffer("drawn", torch.ones(event, dtype=torch.bool), persistent=False)

    def complete(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        return z

    def forward(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.energy(z) + self.weight * (self.y - self.operator(z)).flatten(1).square().sum(1)


class Measured(nn.Module, Condition):
    """Base of conditions y = A(x) + σξ with ξ standard normal. A subclass gives A as `forward`.

    sigma: σ in the units of the model (> 0).
    is_linear: True if A(x) is linear in x up to a constant. Mixtures of Gaussians then have exact conditionals.
    """

    spaces: ClassVar[frozenset[str]] = CONTINUOUS
    is_linear: ClassVar[bool] = False

    def __init__(self, sigma: float) -> None:
        super().__init__()
        check.positive("sigma", sigma)
        self.sigma = sigma

    @abstractmethod
    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *shape"]:
        """Return A(x)."""

    def measured(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *shape"]:
        """Return A(x). Raises InputError unless it has one row of finite numbers per state."""
        found = self(x)
        if not isinstance(found, Tensor) or found.dim() < 2 or len(found) != len(x) or not bool(found.isfinite().all()):
            given = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"condition: forward must give one row of finite numbers per state, got {given} for states of shape "
                f"{list(x.shape)}"
            )
        return found

    def observe(self, name: str, x: Float[Tensor, "*event"], rng: torch.Generator) -> Observation:
        clean = self.measured(x[None])[0]
        noise = torch.randn(clean.shape, generator=rng, dtype=x.dtype, device=rng.device)
        return Observation(name, clean + self.sigma * noise.to(x.device), truth=x)

    def given(self, name: str, y: Float[Tensor, "*shape"], event: tuple[int, ...]) -> Observation:
        shape = tuple(self.measured(y.new_zeros(1, *event)).shape[1:])
        if tuple(y.shape) != shape:
            raise InputError(f"{name} must have the shape {list(shape)} of what is observed, got {list(y.shape)}")
        return Observation(name, y)

    def restrict(
        self, energy: nn.Module, temperature: float, seen: Observation, event: tuple[int, ...]
    ) -> MeasuredEnergy:
        return MeasuredEnergy(energy, self, seen.y, self.sigma, temperature, event)


class OwnOperator(Measured):
    """A user's module as A(x), with σ as its attribute `sigma`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(getattr(module, "sigma", None))  # type: ignore[arg-type]
        self.module = module

    def forward(self, x: Float[Tensor, "n *event"]) -> Any:
        # `measured` checks what a user's module gives.
        return self.module(x)


def require_picture(name: str, x: Float[Tensor, "n *event"]) -> None:
    """Raise InputError unless states are pictures."""
    if x.dim() != 4:
        raise InputError(f"condition={name} needs pictures, but states have shape {list(x.shape[1:])}")
