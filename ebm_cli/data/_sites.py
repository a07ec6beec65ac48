"""The sites of discrete states, each with one of finitely many values."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE

EVERY = slice(None)
WORDS = {"binary": "zeros and ones", "spin": "minus ones and ones"}


@dataclass(frozen=True)
class Sites:
    """The d sites of a discrete state, each with one of k values, which are numbered from 0.

    A binary site is 0 or 1, and a spin is −1 or 1. A site with k categories is a one-hot vector, along the last axis.

    space: binary, spin or categorical.
    event: shape of one state.
    """

    space: str
    event: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.space not in DISCRETE:
            raise InputError(f"states must have finitely many values per site, got {self.space} states")
        if self.space == "categorical" and (len(self.event) < 2 or self.event[-1] < 2):
            given = list(self.event)
            raise InputError(f"event must end with the number of categories (≥ 2), as in [10,3], got {given}")

    @cached_property
    def count(self) -> int:
        """Return the number of sites, d."""
        return math.prod(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape in which the sites are arranged."""
        return self.event[:-1] if self.space == "categorical" else self.event

    @property
    def values(self) -> int:
        """Return the number of values of each site, k."""
        return self.event[-1] if self.space == "categorical" else 2

    @property
    def bits(self) -> float:
        """Return the logarithm of the number of states to base 2, d log₂ k."""
        return self.count * math.log2(self.values)

    @property
    def n_states(self) -> int:
        """Return the number of states, kᵈ."""
        return self.values**self.count

    @property
    def description(self) -> str:
        """Return the values of a site, in words."""
        return WORDS.get(self.space, f"one-hot vectors of {self.values} categories")

    def vectors(self, like: Tensor) -> Float[Tensor, "k c"]:
        """Return the values of a site, of the type and on the device of `like`: numbers, or vectors of length c = k."""
        if self.space == "categorical":
            return torch.eye(self.values, dtype=like.dtype, device=like.device)
        return like.new_tensor([[0.0], [1.0]] if self.space == "binary" else [[-1.0], [1.0]])

    def by_site(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d c"]:
        """Return the value of each site."""
        return x.reshape(len(x), self.count, -1)

    def numbers(self, x: Float[Tensor, "n *event"], group: Int[Tensor, " m"] | slice = EVERY) -> Int[Tensor, "n m"]:
        """Return the number of the value of each site, or of each of these sites."""
        each = self.by_site(x)[:, group]
        return each.argmax(2) if self.space == "categorical" else (each[..., 0] > 0).long()

    def states(self, numbers: Int[Tensor, "n d"], dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return the states whose sites have these values."""
        like = torch.empty((), dtype=dtype, device=numbers.device)
        return self.vectors(like)[numbers].reshape(-1, *self.event)

    def uniform(self, n: int, rng: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return states whose sites are independent and have all values with equal probability."""
        return self.states(torch.randint(self.values, (n, self.count), generator=rng, device=rng.device), dtype)

    def enumerated(self, first: int, last: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return the states number `first` to `last` − 1 of all kᵈ, counted like digits in base k."""
        index = torch.arange(first, last, device=device)
        powers = self.values ** torch.arange(self.count - 1, -1, -1, device=device)
        return self.states(index[:, None] // powers % self.values, dtype)

    def blocks(self, size: int, device: torch.device, dtype: torch.dtype) -> Iterator[Float[Tensor, "n *event"]]:
        """Yield all states in their order, at most `size` at a time."""
        for first in range(0, self.n_states, size):
            yield self.enumerated(first, min(first + size, self.n_states), device, dtype)

    def all_states(self, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return all states."""
        return self.enumerated(0, self.n_states, device, dtype)

    def with_other_values(
        self, numbers: Int[Tensor, "n d"], changed: Bool[Tensor, "n d"], rng: torch.Generator
    ) -> Int[Tensor, "n d"]:
        """Return the numbers with another value, drawn uniformly, at the sites that are to be changed."""
        shift = torch.randint(1, self.values, numbers.shape, generator=rng, device=numbers.device)
        return (numbers + shift * changed) % self.values

    def contain(self, x: Float[Tensor, "n *event"]) -> bool:
        """Return True if all rows are states of this space."""
        return bool((self.states(self.numbers(x), x.dtype) == x).all())
