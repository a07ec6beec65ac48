"""The region that chains have visited."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

MAX_STATES, MAX_GROUPS = 2000, 32


class VisitedRegion:
    """The states of chains, and `near`, the largest distance of a visited state from the chains.

    The distance of a state from the chains is the tenth percentile over chains of the distance to a chain's nearest
    state. Therefore a region that only one chain in fifty has found does not count as visited. Chains are pooled into
    up to 32 groups, to have many states in each. `near` is 1.5 times the median over groups of a second distance: the
    largest distance of a group's states from the states of all other groups. The median ignores outliers.
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
        """Return the distance of each state from the chains."""
        groups = np.minimum.reduceat(cdist(x, self.states), self.first, axis=1)
        return np.sort(groups, axis=1)[:, -(-groups.shape[1] // 10) - 1]
