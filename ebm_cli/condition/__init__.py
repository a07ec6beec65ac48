"""Conditions: what is known of a state, and the energy of the rest; one file per condition.

A condition turns E(x) into the energy of p(x | y) ∝ p(x) p(y | x), y what is observed of a state. Any sampler moves its
states.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli.energy import NOT_PERIODIC


@dataclass(frozen=True)
class Observation:
    """What is known of one state.

    name: of the row or the picture, for messages.
    y: what was observed: for known coordinates a whole state, with any numbers elsewhere; otherwise a measurement.
    known: the known coordinates; None for a measurement.
    truth: the whole state, if it is known. label: its class, if it is known.
    """

    name: str
    y: Float[Tensor, "*shape"]
    known: Bool[Tensor, "*event"] | None = None
    truth: Float[Tensor, "*event"] | None = None
    label: int | None = None


@runtime_checkable
class ConditionalEnergy(Protocol):
    """The energy of p(x | y) over the part of a state that is drawn.

    event: shape of this part. drawn: its coordinates in a whole state.
    """

    event: tuple[int, ...]
    drawn: Bool[Tensor, "*event"]

    def complete(self, z: Float[Tensor, "n *part"], /) -> Float[Tensor, "n *event"]:
        """Return whole states: the part that is drawn together with what is known."""
        ...

    def __call__(self, z: Float[Tensor, "n *part"], /) -> Float[Tensor, " n"]: ...


@runtime_checkable
class Condition(Protocol):
    """What is known of a state.

    spaces: the spaces of states on which it works.
    """

    spaces: ClassVar[frozenset[str]] = NOT_PERIODIC

    def observe(self, name: str, x: Float[Tensor, "*event"], rng: torch.Generator) -> Observation:
        """Return what is observed of a whole state."""
        ...

    def given(self, name: str, y: Float[Tensor, "*shape"], event: tuple[int, ...]) -> Observation:
        """Return an observation that a user made. Raises InputError if it does not fit states of this shape."""
        ...

    def restrict(self, energy: nn.Module, temperature: float, seen: Observation, event: tuple[int, ...]) -> nn.Module:
        """Return the `ConditionalEnergy` given an observation. Raises InputError if the energy does not fit."""
        ...
