"""Data sets with a known density, drawn from a generator."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check, rng
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Split
from ebm_cli.rng import normal_like

HELD_OUT = 2000


class SyntheticData:
    """Base of the synthetic sets: `n` samples drawn once from `seed`, or new samples at every draw if n is None.

    A set provides `event`, `noise`, `draw` and `log_prob`. The held-out split has 2,000 samples. If n is None, the
    training split has 20,000.
    """

    event: tuple[int, ...]
    noise: float

    def __init__(self, n: int | None, seed: int) -> None:
        if n is not None:
            check.count("n", n)
        check.count("seed", seed, minimum=0)
        self.n = n
        self.seed = seed
        self._device = torch.get_default_device()
        self._splits: dict[Split, Batch] = {}

    @property
    def finite(self) -> bool:
        return self.n is not None

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        """Return n independent draws from the distribution."""
        raise NotImplementedError

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        if self.n is None:
            return self.draw(n, rng)
        return self.split("train").select(torch.randint(self.n, (n,), generator=rng, device=rng.device))

    def split(self, split: Split) -> Batch:
        if split not in self._splits:
            n = HELD_OUT if split == "held_out" else self.n or 10 * HELD_OUT
            self._splits[split] = self.draw(n, rng.generator(self.seed, f"data/{split}", self._device))
        return self._splits[split]

    def decode(self, x: Float[Tensor, "n *event"]) -> np.ndarray:
        return x.cpu().numpy()


class PlaneData(SyntheticData, ABC):
    """Base of the labeled sets in the plane: noise-free points plus N(0, noise²I).

    noise: standard deviation σ (> 0, ≥ `min_noise`).
    n: number of training samples, or None for new samples at every draw.
    seed: seed of the samples.
    """

    min_noise: ClassVar[float] = 0.0

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        if not self.min_noise:
            check.positive("noise", noise)
        check.number("noise", noise)
        if noise < self.min_noise:
            raise InputError(f"noise must be >= {self.min_noise}, got {noise}")
        self.event = (2,)
        self.noise = noise

    @abstractmethod
    def draw_clean(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        """Return n noise-free points and their labels."""

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        clean, y = self.draw_clean(n, rng)
        return Batch(clean + self.noise * normal_like(clean, rng), clean=clean, y=y)
