"""Data: what a model is trained on and compared with. Every other file in this folder is one set.

`sample` is a pure function of its generator, so that a resumed run sees the same batches.
"""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check, rng

HELD_OUT = 2000
Part = Literal["train", "held_out"]


class Batch(NamedTuple):
    """n rows. clean: the rows before noise, where there is any. y: labels. condition: a noise level or class."""

    x: Float[Tensor, "n *event"]
    clean: Float[Tensor, "n *event"] | None = None
    y: Int[Tensor, " n"] | None = None
    condition: Tensor | None = None


@runtime_checkable
class Data(Protocol):
    """A data set.

    event: the shape of one row. noise: σ of the Gaussian noise that its draws carry. finite: whether it is a
    list of rows, which a model could learn by heart, and not fresh draws for ever.
    """

    event: tuple[int, ...]
    noise: float

    @property
    def finite(self) -> bool: ...

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """n training rows, noise included, drawn with replacement."""
        ...

    def split(self, part: Part) -> Batch:
        """All rows of one part in their own order, without noise where the set has rows without."""
        ...

    def decode(self, x: Float[Tensor, "n *event"]) -> np.ndarray:
        """States as people look at them: pictures in [0, 1], or rows in their own units."""
        ...


@runtime_checkable
class KnownDensity(Protocol):
    """A data set whose law, noise included, has a density that can be computed."""

    def log_prob(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]: ...


def noised(data: Data, part: Part, seed: int) -> Batch:
    """All rows of one part with the set's own noise, the same for the same seed."""
    batch = data.split(part)
    if batch.clean is None or data.noise == 0:
        return batch
    generator = rng.generator(seed, f"noise/{part}", batch.x.device)
    return batch._replace(x=batch.clean + data.noise * rng.normal_like(batch.clean, generator))


class Stream:
    """Base of the synthetic sets: `n` rows drawn once from `seed`, or fresh draws for ever where n is null.

    A set gives `event`, `noise`, `draw` and `log_prob`. The held-out part is 2,000 rows of its own; of fresh
    draws the training part is 20,000.
    """

    event: tuple[int, ...]
    noise: float

    def __init__(self, n: int | None, seed: int) -> None:
        if n is not None:
            check.count("n", n)
        check.count("seed", seed, least=0)
        self.n = n
        self.seed = seed
        self._device = torch.get_default_device()
        self._rows: dict[Part, Batch] = {}

    @property
    def finite(self) -> bool:
        return self.n is not None

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        """n independent draws from the law itself."""
        raise NotImplementedError

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        if self.n is None:
            return self.draw(n, rng)
        batch = self.split("train")
        rows = torch.randint(self.n, (n,), generator=rng, device=rng.device)
        clean, y = (None if part is None else part[rows] for part in (batch.clean, batch.y))
        return Batch(batch.x[rows], clean=clean, y=y)

    def split(self, part: Part) -> Batch:
        if part not in self._rows:
            n = HELD_OUT if part == "held_out" else self.n or 10 * HELD_OUT
            self._rows[part] = self.draw(n, rng.generator(self.seed, f"data/{part}", self._device))
        return self._rows[part]

    def decode(self, x: Float[Tensor, "n *event"]) -> np.ndarray:
        return x.cpu().numpy()
