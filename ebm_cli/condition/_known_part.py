"""Part of a state is known exactly: the energy of the rest."""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.condition import Condition, Observation
from ebm_cli.energy import space_of


class KnownPart(nn.Module):
    """E(z | y) = E(x) with xᵢ = yᵢ for known coordinates and z for the others, so that p(z | y) = p(x)/p(y) exactly.

    energy: E.
    known: the known coordinates. Of categories, all entries of a site are known or none.
    y: a whole state; its unknown part is not used.
    """

    drawn: Tensor
    y: Tensor
    at: Tensor

    def __init__(self, energy: nn.Module, known: Bool[Tensor, "*event"], y: Float[Tensor, "*event"]) -> None:
        super().__init__()
        self.energy, self.space = energy, space_of(energy)
        self.register_buffer("drawn", ~known, persistent=False)
        self.register_buffer("y", torch.where(known, y, 0.0), persistent=False)
        self.register_buffer("at", self.drawn.flatten().nonzero().flatten(), persistent=False)
        count = len(self.at)
        # Sites of categories stay one-hot vectors along the last axis.
        self.event = (count // known.shape[-1], known.shape[-1]) if self.space == "categorical" else (count,)

    def complete(self, z: Float[Tensor, "n *part"]) -> Float[Tensor, "n *event"]:
        whole = self.y.flatten().expand(len(z), -1)
        return whole.index_copy(1, self.at, z.flatten(1)).view(len(z), *self.y.shape)

    def forward(self, z: Float[Tensor, "n *part"]) -> Float[Tensor, " n"]:
        return self.energy(self.complete(z))


class Known(Condition):
    """Base of conditions in which coordinates of a state are known exactly. A subclass says which."""

    @abstractmethod
    def known(self, x: Float[Tensor, "*event"], rng: torch.Generator) -> Bool[Tensor, "*event"]:
        """Return the known coordinates of a state. Raises InputError for a state of another shape."""

    def observe(self, name: str, x: Float[Tensor, "*event"], rng: torch.Generator) -> Observation:
        return Observation(name, x, self.known(x, rng).to(x.device), x)

    def given(self, name: str, y: Float[Tensor, "*event"], event: tuple[int, ...]) -> Observation:
        if tuple(y.shape) != event:
            raise InputError(f"{name} must have the shape {list(event)} of a state, got {list(y.shape)}")
        known = self.known(y, torch.Generator().manual_seed(0)).to(y.device)
        if missing := int((known & ~y.isfinite()).sum()):
            raise InputError(f"{name} has no value at {missing} of the coordinates that are known")
        return Observation(name, y, known)

    def restrict(
        self,
        energy: nn.Module,
        temperature: float,  # noqa: ARG002
        seen: Observation,
        event: tuple[int, ...],  # noqa: ARG002
    ) -> KnownPart:
        assert seen.known is not None
        if bool(seen.known.all()):
            raise InputError(f"nothing of {seen.name} is unknown, so that there is nothing to draw")
        return KnownPart(energy, seen.known, seen.y)
