"""Draws of many chains as numpy arrays, with the details of their file."""

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from ebm_cli.data import DISCRETE, _angles
from ebm_cli.estimate import rounded_up


def evenly_spaced(count: int, max_count: int) -> list[int]:
    """Return up to `max_count` of the numbers 0 … count − 1, evenly spaced, with the first and the last."""
    return np.linspace(0, count - 1, min(count, max_count)).astype(int).tolist()


@dataclass(frozen=True)
class Chains:
    """Kept draws of many chains. Values are None, or lists empty, if unknown.

    x: (chain, draw, *event).
    potential: E of each draw.
    acceptance: acceptance rate of each draw.
    first_nonfinite_step: the kernel step at which a chain was first not finite; −1 for never.
    thin: kernel steps between draws.
    gradients: evaluations per chain.
    names: number of each chain in its file.
    diverging: number of proposals without finite energy between a draw and the draw before.
    test_per_step: True if 1 − acceptance is the probability that a kernel step stays in place.
    starts: number of each chain's initial state; chains with the same number started at the same state.
    round_trips: number of states that came to each chain from the far end of a path, for replica exchange.
    crossing_steps: number of steps in which a state crosses the path, by theory; ∞ if neighbors hardly swap.
    enough_replicas: minimum number of replicas for the measured swap rates; None if it is unknown or there are as many.
    path: the name of the path of the replicas; empty without replica exchange.
    warnings: sentences about missing draws. They become cautions of every estimate.
    notes: sentences about parts of the file that are not used.
    coordinates: the name of each number of a state; x or x[i] if empty.
    space: what a state is.
    """

    x: np.ndarray
    potential: Float[np.ndarray, "chain draw"] | None = None
    acceptance: Float[np.ndarray, "chain draw"] | None = None
    first_nonfinite_step: Int[np.ndarray, " chain"] | None = None
    thin: int = 1
    gradients: int | None = None
    names: list[int] = field(default_factory=list)
    diverging: Int[np.ndarray, "chain draw"] | None = None
    test_per_step: bool = False
    starts: Int[np.ndarray, " chain"] | None = None
    round_trips: Int[np.ndarray, " chain"] | None = None
    crossing_steps: float | None = None
    enough_replicas: int | None = None
    path: str = ""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    coordinates: list[str] = field(default_factory=list)
    space: str = "continuous"

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one state."""
        return self.x.shape[2:]

    def numbers(self) -> list[int]:
        """Return each chain's number in its file, or its place if the file has none."""
        return self.names or list(range(len(self.x)))

    def longer(self, times: float) -> str:
        """Return what to type for chains that are longer by this factor."""
        return f"steps={rounded_up(max(times, 1.1) * self.x.shape[1] * self.thin)}"

    def factor_for_round_trips(self) -> float:
        """Return the factor by which chains must be longer for round trips; 1 if they have any or it is unknown."""
        if self.round_trips is None or self.round_trips.any() or self.crossing_steps in (None, math.inf):
            return 1.0
        # Some states of some chains cross in less than the mean time.
        return 2 * self.crossing_steps / (self.x.shape[1] * self.thin)

    def with_round_trips(self) -> str:
        """Return what to type for chains that have round trips."""
        count = "more" if self.enough_replicas is None else f"at least {self.enough_replicas}"
        if self.crossing_steps is None:
            return f"Increase steps, or use {count} replicas"
        if self.crossing_steps == math.inf:
            return f"Use {count} replicas"
        return f"Type {self.longer(self.factor_for_round_trips())}"

    def across_barriers(self) -> str:
        """Return what to type for chains that cross barriers."""
        if self.round_trips is None:
            return f"{'path=rates' if self.space in DISCRETE else 'sampler=tempering'} to cross barriers"
        if self.path == "hot":
            return "more path.replicas, or a higher path.hottest"
        other = "more values of path.betas" if self.space in DISCRETE else "a wider path.base"
        return f"path=hot with more path.replicas, or {other}"

    def after_burn_in(self) -> str:
        """Return what to type to leave out twice the present length of the chains as burn-in."""
        return f"burn_in={rounded_up(2 * self.x.shape[1] * self.thin)}"

    def flat(self) -> Float[np.ndarray, "chain draw size"]:
        """Return the states as rows of numbers: of angles their cosines, then their sines.

        Angles have no mean and no distance of their own, because −π and π are the same.
        """
        return self.rows(self.x.reshape(*self.x.shape[:2], -1))

    def rows(self, x: Float[np.ndarray, "*shape size"]) -> Float[np.ndarray, "*shape numbers"]:
        """Return other states of the same kind as rows of the numbers of `flat`."""
        return _angles.cosines_and_sines(x) if self.space == _angles.SPACE else x

    def coordinate(self, number: int) -> str:
        """Return the name of one of the numbers in `flat`."""
        if self.space == _angles.SPACE:
            angles = dataclasses.replace(self, space="continuous")
            size = int(np.prod(self.event, dtype=int))
            return f"{'cos' if number < size else 'sin'} {angles.coordinate(number % size)}"
        if self.coordinates:
            return self.coordinates[number]
        return f"x[{number}]" if np.prod(self.event, dtype=int) > 1 else "x"

    def thinned(self, max_draws: int) -> Float[np.ndarray, "chain draw *event"]:
        """Return up to `max_draws` draws per chain, evenly spaced."""
        return self.x[:, evenly_spaced(self.x.shape[1], max_draws)]

    def only(self, chains: list[int]) -> "Chains":
        """Return these chains without the others; they keep their numbers."""
        per_chain = ("x", "potential", "acceptance", "first_nonfinite_step", "diverging", "starts", "round_trips")
        kept = {name: None if (v := getattr(self, name)) is None else v[chains] for name in per_chain}
        return dataclasses.replace(self, **kept, names=[self.numbers()[c] for c in chains])

    def between(self, first: int, last: int) -> "Chains":
        """Return the draws from `first` up to, but not including, `last`."""
        per_draw = ("x", "potential", "acceptance", "diverging")
        cut = {name: None if (v := getattr(self, name)) is None else v[:, first:last] for name in per_draw}
        return dataclasses.replace(self, **cut)
