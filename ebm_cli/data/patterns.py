"""Random patterns that an associative memory is to store."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.rng import generator


class Patterns(FiniteData):
    """P patterns of N independent units, each on with probability `fraction`; off is −1 for spins, 0 for binary units.

    The patterns of Hopfield, 1982 (PNAS 79); the load of a network that stores them is P/N. Labels are the numbers of
    the patterns. Both splits are the patterns: new ones have nothing in common with them, so that nothing could be
    learned about held-out ones. Metrics therefore compare a model with the uniform distribution over the patterns.

    count: P (≥ 1).
    size: N (≥ 2).
    fraction: probability that a unit is on (in (0, 1)).
    space: spin or binary.
    seed: seed of the patterns (≥ 0).
    """

    def __init__(self, count: int, size: int, fraction: float, space: str, seed: int) -> None:
        check.every(
            lambda: check.count("count", count),
            lambda: check.count("size", size, minimum=2),
            lambda: check.open_interval("fraction", fraction),
            lambda: check.one_of("space", space, ["spin", "binary"]),
            lambda: check.count("seed", seed, minimum=0),
        )
        self.space = space
        on = torch.rand(count, size, generator=generator(seed, "data/patterns", "cpu"), device="cpu") < fraction
        x = on.to(torch.get_default_device(), torch.get_default_dtype())
        x = 2 * x - 1 if space == "spin" else x
        patterns = Batch(x, clean=x, y=torch.arange(count))
        super().__init__(patterns, patterns, 0.0)

    def log_prob(self, x: Float[Tensor, "n units"]) -> Float[Tensor, " n"]:
        """Return the log of the fraction of the patterns that are equal to x; −∞ for no pattern."""
        patterns = self.split("train").x.to(x)
        # The number of units in which two states differ is 0 only for equal states.
        return (torch.cdist(x, patterns, p=0) == 0).to(x).mean(1).log()

    def decode(self, x: Float[Tensor, "n units"]) -> np.ndarray:
        return x.cpu().numpy()
