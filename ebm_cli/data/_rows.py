"""Rows of a data set: the rows that are available, their noise, and the split into training and held-out rows."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check, rng
from ebm_cli.data import Batch, Data, FileData, Split, _angles, row_space


def available_rows(data: Data) -> Batch:
    """Return samples of the training distribution without opening a file.

    These are the held-out rows that a run stores if the set was opened from its record, otherwise the training rows.
    """
    return data.available_rows() if isinstance(data, FileData) else data.split("train")


def noisy_split(data: Data, split: Split, seed: int) -> Batch:
    """Return all rows of a split with the noise of the set, the same for the same seed."""
    return add_noise(data, data.split(split), f"noise/{split}", seed)


def noisy_available_rows(data: Data, seed: int) -> Batch:
    """Return the rows of `available_rows` with the noise of the set, the same for the same seed."""
    return add_noise(data, available_rows(data), "noise/train", seed)


def add_noise(data: Data, batch: Batch, purpose: str, seed: int) -> Batch:
    """Return the same rows with the noise of the set, from a generator of this purpose and seed."""
    if batch.clean is None or data.noise == 0:
        return batch
    generator = rng.generator(seed, purpose, batch.x.device)
    return batch._replace(x=with_noise(batch.clean, data.noise, row_space(data), generator))


def with_noise(
    clean: Float[Tensor, "n *event"], noise: float, space: str, generator: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return rows with Gaussian noise of standard deviation `noise`; angles stay in [−π, π)."""
    x = clean + noise * rng.normal_like(clean, generator)
    return _angles.wrap(x) if space == _angles.SPACE else x


def check_split(held_out: float, noise: float, seed: int) -> None:
    """Raise InputError unless held_out is in (0, 1), noise ≥ 0 and seed ≥ 0."""
    check.open_interval("holdout_fraction", held_out)
    check.non_negative("noise", noise)
    check.count("seed", seed, minimum=0)


def split_rows(n: int, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the training and of the held-out rows of n (≥ 2), in order, with at least one row each."""
    # Permutations of RandomState never change: every version of numpy holds out the same rows.
    order = np.random.RandomState(rng.derive(seed, "data/held_out") % 2**32).permutation(n)
    cut = min(max(round(held_out * n), 1), n - 1)
    return np.sort(order[cut:]), np.sort(order[:cut])
