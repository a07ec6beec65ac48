"""What baselines are fitted to: the training rows in two parts, with the noise that is still to be added to them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import rng
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._rows import split_rows

VALIDATION = 0.2
MOST_ROWS = 20_000
# Noisy copies of few rows make what is chosen by them less a matter of one draw of the noise.
SCORED = 2000
# Of the largest variance of a coordinate: none is less, and what is no more counts as flat.
FLAT = 1e-6


@dataclass(frozen=True)
class Material:
    """Training rows without noise, flattened, in double precision, and σ of the noise that the scored law has on top.

    fit: four fifths, from which candidates are fitted. check: the last fifth, by which one is chosen. σ is 0 where the
    set has no rows without noise: its rows are then taken as they are. seed: of what a fit draws.
    """

    fit: Float[Tensor, "n d"]
    check: Float[Tensor, "m d"]
    noise: float
    seed: int

    @property
    def whole(self) -> Float[Tensor, "rows d"]:
        """Both parts, for the last fit."""
        return torch.cat([self.fit, self.check])

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return self.fit.shape[1]

    def scored(self) -> Float[Tensor, "k d"]:
        """Validation rows with noise, the same at every call: several copies of few rows, 2,000 of many."""
        few = self.check[:SCORED]
        if self.noise == 0:
            return few
        few = few.repeat(max(1, min(8, SCORED // len(few))), 1)
        generator = rng.generator(0, "baseline/validation", few.device)
        return few + self.noise * rng.normal_like(few, generator)


def material(data: Data, seed: int) -> Material:
    """The training split in two, at most 20,000 rows of it; the same parts for every seed."""
    batch = data.split("train")
    rows, noise = (batch.x, 0.0) if batch.clean is None else (batch.clean, data.noise)
    rows = rows.detach().flatten(1).double().cpu()
    if len(rows) < 2:
        raise InputError(f"needs at least 2 training rows, got {len(rows)}")
    if len(rows) > MOST_ROWS:
        kept, _ = split_rows(len(rows), 1 - MOST_ROWS / len(rows), 0)
        rows = rows[torch.as_tensor(kept)]
    fit, check = split_rows(len(rows), VALIDATION, 0)
    return Material(rows[torch.as_tensor(fit)], rows[torch.as_tensor(check)], noise, seed)


def covariance(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """The rows' maximum-likelihood covariance, also of a single one."""
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)


def floored(matrix: Float[Tensor, "d d"], noise: float, largest: float) -> Float[Tensor, "d d"]:
    """C + σ²I with no eigenvalue under a millionth of the data's largest: a density, where C itself has none."""
    values, axes = torch.linalg.eigh(matrix)
    values = values.clamp(min=0) + noise**2
    return (axes * values.clamp(min=FLAT * largest)) @ axes.T


def largest_variance(rows: Float[Tensor, "n d"]) -> float:
    """That of the coordinates; 1 where none varies."""
    return float(rows.var(0, correction=0).max()) or 1.0


def flat_directions(material: Material) -> int:
    """In how many directions rows do not vary, where no noise fills them."""
    if material.noise:
        return 0
    values = torch.linalg.eigvalsh(covariance(material.whole))
    return int((values <= FLAT * largest_variance(material.whole)).sum())
