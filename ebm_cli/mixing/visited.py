"""The region that chains have visited."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

MAX_STATES, MAX_GROUPS = 2000, 32


class Visited:
    """The states of chains, and `near`, the distance from them up to which a state counts as visited.

    The distance of a state is that within which a tenth of the chains come (in at most 32 groups, so that each has many
    states): a region that one chain in fifty has found is not yet known to all. `near` is 1.5 times the longest
    distance of a chain's states from those of all others, in the median over chains, because some may be outliers.
    """

    def __init__(self, flat: Float[np.ndarray, "chain draw size"]) -> None:
        chains, draws = flat.shape[:2]
        every = max(1, chains * draws // MAX_STATES)
        owner = np.repeat(np.arange(chains) * min(chains, MAX_GROUPS) // chains, draws)[::every]
        self.first = np.flatnonzero(np.diff(owner, prepend=-1))
        self.states = flat.reshape(chains * draws, -1)[::every]
        between = cdist(self.states, self.states)
        between[owner[:, None] == owner[None]] = np.inf
        self.near = 1.5 * float(np.median(np.maximum.reduceat(between.min(1), self.first)))

    def distance(self, x: Float[np.ndarray, "n size"]) -> Float[np.ndarray, " n"]:
        """Return the distance of each state within which a tenth of the chains come, at least one."""
        groups = np.minimum.reduceat(cdist(x, self.states), self.first, axis=1)
        return np.sort(groups, axis=1)[:, -(-groups.shape[1] // 10) - 1]
