"""The data to which densities are fitted: training samples in two parts, and the noise to be added to them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import rng
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._rows import split_rows

VALIDATION_FRACTION = 0.2
MAX_ROWS = 20_000
# Validation rows that are scored. Several noisy copies of few rows make a choice depend less on one draw of the noise.
VALIDATION_ROWS, MAX_COPIES = 2000, 8
# Variances up to this fraction of the largest variance of a coordinate count as flat, and are increased to it.
MIN_VARIANCE = 1e-6


@dataclass(frozen=True)
class FitData:
    """Training samples without noise, flattened, in double precision.

    fit: four fifths of the samples, to which candidates are fitted.
    check: the last fifth, by which a candidate is chosen.
    noise: σ of the noise of scored samples (≥ 0); 0 if the noise is already in the samples.
    seed: seed of the fit.
    """

    fit: Float[Tensor, "n d"]
    check: Float[Tensor, "m d"]
    noise: float
    seed: int

    @property
    def whole(self) -> Float[Tensor, "rows d"]:
        """Return both parts, for the last fit."""
        return torch.cat([self.fit, self.check])

    @property
    def size(self) -> int:
        """Return the number of coordinates."""
        return self.fit.shape[1]

    def validation_rows(self) -> Float[Tensor, "k d"]:
        """Return validation rows with noise, the same at every call: 2,000 rows, or several copies of fewer."""
        few = self.check[:VALIDATION_ROWS]
        if self.noise == 0:
            return few
        few = few.repeat(max(1, min(MAX_COPIES, VALIDATION_ROWS // len(few))), 1)
        generator = rng.generator(0, "baseline/validation", few.device)
        return few + self.noise * rng.normal_like(few, generator)


def make_fit_data(data: Data, seed: int) -> FitData:
    """Return up to 20,000 rows of the training split, in two parts. The parts do not depend on the seed."""
    batch = data.split("train")
    rows, noise = (batch.x, 0.0) if batch.clean is None else (batch.clean, data.noise)
    return split_fit_data(limit_rows(rows.detach().flatten(1).double().cpu()), noise, seed)


def limit_rows(rows: Tensor) -> Tensor:
    """Return up to 20,000 rows; raise InputError for fewer than two."""
    if len(rows) < 2:
        raise InputError(f"needs at least 2 training rows, got {len(rows)}")
    if len(rows) > MAX_ROWS:
        kept, _ = split_rows(len(rows), 1 - MAX_ROWS / len(rows), 0)
        rows = rows[torch.as_tensor(kept)]
    return rows


def split_fit_data(rows: Float[Tensor, "n d"], noise: float, seed: int) -> FitData:
    """Return flattened rows in two parts. The parts do not depend on the seed."""
    return FitData(*split_parts(rows), noise, seed)


def split_parts(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return four fifths of the rows and the last fifth, the same for the same number of rows."""
    fit, check = split_rows(len(rows), VALIDATION_FRACTION, 0)
    return rows[torch.as_tensor(fit)], rows[torch.as_tensor(check)]


def covariance(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Return the maximum-likelihood covariance of rows (≥ 1)."""
    centered = rows - rows.mean(0)
    return centered.T @ centered / len(rows)


def with_min_variance(matrix: Float[Tensor, "d d"], noise: float, largest: float) -> Float[Tensor, "d d"]:
    """Return C + σ²I with eigenvalues ≥ MIN_VARIANCE·largest. Without this bound the Gaussian may have no density.

    largest: the largest variance of a coordinate.
    """
    values, axes = torch.linalg.eigh(matrix)
    values = values.clamp(min=0) + noise**2
    return (axes * values.clamp(min=MIN_VARIANCE * largest)) @ axes.T


def largest_variance(rows: Float[Tensor, "n d"]) -> float:
    """Return the largest variance of a coordinate; 1 if no coordinate varies."""
    return float(rows.var(0, correction=0).max()) or 1.0


def flat_directions(data: FitData) -> int:
    """Return the number of directions in which rows do not vary and have no noise."""
    if data.noise:
        return 0
    values = torch.linalg.eigvalsh(covariance(data.whole))
    return int((values <= MIN_VARIANCE * largest_variance(data.whole)).sum())
