"""Places on a path of linear segments: the segment of a β, and the segment on which two neighbors swap."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from ebm_cli.path._swap import partner_numbers

# A β this near to an anchor is the anchor, so that users can type it with four digits.
TOLERANCE = 1e-4


class Place(NamedTuple):
    """A place on a path of segments. beta: in [0, 1] within the segment."""

    segment: int
    beta: float

    @property
    def is_inner_anchor(self) -> bool:
        """Return True for the upper end of a segment whose lower end is a model, not the base."""
        return self.segment > 0 and self.beta == 1

    def on_path(self, segments: int) -> float:
        """Return β of the whole path, on which all segments are equally long."""
        return (self.segment + self.beta) / segments


def place_of(beta: float, segments: int) -> Place:
    """Return the place with this β of the whole path; an anchor is the upper end of its segment."""
    length = beta * segments
    anchor = round(length)
    if 0 < anchor < segments and abs(beta - anchor / segments) < TOLERANCE:
        return Place(anchor - 1, 1.0)
    segment = max(0, math.ceil(length) - 1)
    return Place(segment, length - segment)


@dataclass(frozen=True)
class Layout:
    """The places of K replicas, the model's first.

    homes: where the kernel moves each replica.
    pairs: the same place on the segment of the pair that tries to swap in even and in odd steps. An anchor that swaps
        with the replica above is the lower end of that segment.
    """

    homes: tuple[Place, ...]
    pairs: tuple[tuple[Place, ...], tuple[Place, ...]]

    def evaluations(self) -> list[int]:
        """Return the number of models that are evaluated for one gradient of each replica."""
        return [1 if place.segment == 0 or place.is_inner_anchor else 2 for place in self.homes]


@cache
def layout_of(betas: tuple[float, ...], segments: int) -> Layout:
    """Return the layout of replicas at these β of the whole path. Every anchor must be the place of a replica."""
    homes = tuple(place_of(beta, segments) for beta in betas)
    even, odd = (
        tuple(pair_place(homes, k, partner) for k, partner in enumerate(partner_numbers(len(betas), is_odd)))
        for is_odd in (False, True)
    )
    return Layout(homes, (even, odd))


def segment_members(betas: Sequence[float], segments: int) -> list[tuple[int, slice, list[float]]]:
    """Return each segment's number, its replicas and their β on it, from the model's segment to the base.

    Replicas at an anchor are members of both of its segments. betas: falling from 1.
    """
    homes = [place_of(beta, segments) for beta in betas]
    found = []
    for segment in reversed(range(segments)):
        members = [k for k, home in enumerate(homes) if home.segment == segment]
        places = [homes[k].beta for k in members]
        lower = 0 if segment == 0 else 1
        found.append((segment, slice(members[0], members[-1] + 1 + lower), places + [0.0] * lower))
    return found


def pair_place(homes: tuple[Place, ...], k: int, partner: int) -> Place:
    """Return the place of replica k on the segment on which it swaps with its partner."""
    if partner >= k or homes[k].segment == homes[partner].segment:
        return homes[k]
    assert homes[k] == Place(homes[partner].segment - 1, 1.0), "every anchor must be the place of a replica"
    return Place(homes[partner].segment, 0.0)


def blocks(places: tuple[Place, ...], key: Callable[[Place], Hashable]) -> list[tuple[Place, int]]:
    """Return the first place and the number of members of each group of consecutive places with the same key."""
    # torch.compile does not trace itertools.groupby.
    groups: list[list[Place]] = []
    for place in places:
        if groups and key(groups[-1][0]) == key(place):
            groups[-1].append(place)
        else:
            groups.append([place])
    return [(group[0], len(group)) for group in groups]
