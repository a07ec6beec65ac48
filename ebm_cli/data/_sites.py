"""The sites of discrete states, each with one of finitely many values."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE


@dataclass(frozen=True)
class Sites:
    """The sites of one discrete state. Values are numbered from 0.

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
            raise InputError(
                f"event must end with the number of categories (≥ 2), as in [10,3], got {list(self.event)}"
            )

    @cached_property
    def count(self) -> int:
        """Return the number of sites, d."""
        return math.prod(self.event[:-1] if self.space == "categorical" else self.event)

    @property
    def values(self) -> int:
        """Return the number of values of each site, k."""
        return self.event[-1] if self.space == "categorical" else 2

    @property
    def log_states(self) -> float:
        """Return the log of the number of states, d log k."""
        return self.count * math.log(self.values)

    def numbers(self, x: Float[Tensor, "n *event"]) -> Int[Tensor, "n d"]:
        """Return the number of each site's value."""
        if self.space == "categorical":
            return x.flatten(1, -2).argmax(2) if len(self.event) > 2 else x.argmax(2)
        return (x.flatten(1) > 0).long()

    def states(self, numbers: Int[Tensor, "n d"], dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return the states whose sites have these values."""
        if self.space == "categorical":
            x = one_hot(numbers, self.values).to(dtype)
        else:
            x = numbers.to(dtype) if self.space == "binary" else (2 * numbers - 1).to(dtype)
        return x.view(-1, *self.event)

    def uniform(self, n: int, rng: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return states whose sites are independent and have all values with equal probability."""
        return self.states(torch.randint(self.values, (n, self.count), generator=rng, device=rng.device), dtype)

    def enumerated(self, first: int, last: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "n *event"]:
        """Return the states number `first` to `last` − 1 of all k^d, counted like digits in base k."""
        index = torch.arange(first, last, device=device)
        powers = self.values ** torch.arange(self.count - 1, -1, -1, device=device)
        return self.states(index[:, None] // powers % self.values, dtype)

    def contain(self, x: Float[Tensor, "n *event"]) -> bool:
        """Return True if all rows are states of this space."""
        return bool((self.states(self.numbers(x), x.dtype) == x).all())

    def description(self) -> str:
        """Return the values of a site, in words."""
        return {"binary": "zeros and ones", "spin": "minus ones and ones"}.get(
            self.space, f"one-hot vectors of {self.values} categories"
        )
