"""Data sets that are a fixed list of rows."""

import torch

from ebm_cli.data import Batch, Split, row_space
from ebm_cli.data._rows import with_noise


class FiniteData:
    """Base of the sets that draw with replacement from their training rows and add noise.

    train: batch with `clean`, and labels if any; None if a set reads its training rows later.
    held_out: batch with `clean`, and labels if any.
    noise: σ (≥ 0), checked by the set.

    A set adds `decode`.
    """

    finite = True

    def __init__(self, train: Batch | None, held_out: Batch, noise: float) -> None:
        self.event: tuple[int, ...] = tuple(held_out.x.shape[1:])
        self.noise = noise
        self._splits: dict[Split, Batch] = {"held_out": held_out}
        if train is not None:
            self._splits["train"] = train

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        rows = self.available_rows()
        assert rows.clean is not None
        batch = rows.select(torch.randint(len(rows.clean), (n,), generator=rng, device=rng.device))
        assert batch.clean is not None
        if not self.noise:
            return batch._replace(x=batch.clean)
        return batch._replace(x=with_noise(batch.clean, self.noise, row_space(self), rng))

    def available_rows(self) -> Batch:
        """Return the rows that `sample` draws from."""
        return self.split("train")

    def split(self, split: Split) -> Batch:
        return self._splits[split]
