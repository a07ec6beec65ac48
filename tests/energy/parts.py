"""Components of a composition with known closed forms, and a data set of given rows."""

import numpy as np
import torch
from torch import Tensor

from ebm_cli.data import Batch, Split
from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate


def quadratic(a: float | list[float], temperature: float = 1.0, event: tuple[int, ...] = (2,)) -> TrainedComponent:
    """E = ½ Σ aᵢxᵢ², as if trained at this temperature, with its own log Z."""
    energy = Quadratic(a, event)

    def log_z(temperature: float, budget: int, target: float) -> Estimate:
        exact = energy.log_z(temperature)
        return Estimate(exact, lower=exact, upper=exact, unit="nats")

    return TrainedComponent(f"run-{a}", energy, event, temperature, log_z)


def pair() -> list[TrainedComponent]:
    """Two of them, that differ."""
    return [quadratic(2.0), quadratic([1.0, 3.0], 2.0)]


class Rows:
    """A data set of these rows, in every split."""

    noise, finite = 0.0, True

    def __init__(self, x: Tensor) -> None:
        self.x, self.event = x, tuple(x.shape[1:])

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        return Batch(self.x[torch.randint(len(self.x), (n,), generator=rng)])

    def split(self, split: Split) -> Batch:
        return Batch(self.x)

    def decode(self, x: Tensor) -> np.ndarray:
        return x.numpy()
