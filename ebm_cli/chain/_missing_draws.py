"""Missing draws of a chain file. The largest block without missing draws is kept."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from ebm_cli.chain.chains import Chains, evenly_spaced

MAX_EDGES = 200
# Fewer chains cannot be compared with each other.
MIN_COMPARABLE = 2
MAX_SHOWN = 8


def missing_in_all(x: Float[np.ndarray, "chain draw *event"]) -> Bool[np.ndarray, "chain draw"]:
    """Return True for each draw that is NaN in every coordinate of every chain."""
    absent = np.isnan(x.reshape(*x.shape[:2], -1)).all((0, 2))
    return np.broadcast_to(absent, x.shape[:2]).copy()


def largest_complete_block(chains: Chains, missing: Bool[np.ndarray, "chain draw"]) -> Chains:
    """Return the largest block of chains and consecutive draws without a missing draw, with a warning.

    A block of at least two chains is preferred. Raises ValueError if every draw is missing.
    """
    if not missing.any():
        return chains
    if missing.all():
        raise ValueError("every draw is missing")
    kept, first, last = _block(missing)
    part = chains.only(kept).between(first, last)
    count = len(missing)
    shown = ", ".join(map(str, part.names[:MAX_SHOWN])) + (" …" if len(kept) > MAX_SHOWN else "")
    whose = f"all {count} chains" if len(kept) == count else f"{len(kept)} of {count} chains ({shown})"
    warning = (
        f"{int(missing.sum())} of {missing.size} draws are missing in the file: "
        f"draws {first} to {last - 1} of {whose} are used"
    )
    return dataclasses.replace(part, warnings=[*part.warnings, warning])


def _block(missing: Bool[np.ndarray, "chain draw"]) -> tuple[list[int], int, int]:
    """Return the chains, the first draw and the end of the largest block without a missing draw."""
    count, draws = missing.shape
    before = np.concatenate([np.zeros((count, 1), dtype=np.int64), np.cumsum(missing, 1)], 1)
    edges = np.flatnonzero((missing[:, 1:] != missing[:, :-1]).any(0)) + 1
    edges = [0, *edges[evenly_spaced(len(edges), MAX_EDGES)].tolist(), draws] if len(edges) else [0, draws]
    blocks = []
    for i, first in enumerate(edges[:-1]):
        for last in edges[i + 1 :]:
            kept = int((before[:, last] == before[:, first]).sum())
            blocks.append((kept >= MIN_COMPARABLE, kept * (last - first), last - first, first))
    _, size, length, first = max(blocks)
    if not size:
        raise ValueError("draws are missing in too many places: no two consecutive draws are left")
    return np.flatnonzero(before[:, first + length] == before[:, first]).tolist(), first, first + length
