"""A Gaussian with full covariance: a model with a higher likelihood has learned more than second moments."""

import torch

from ebm_cli.density.fit_data import FitData, covariance, largest_variance, with_min_variance
from ebm_cli.density.normals import NormalMixture

SHRINKAGE = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


def fit(data: FitData) -> NormalMixture:
    """Return N(x; m, (1 − α)C + α·diag C + σ²I), C the covariance of rows without noise, α the best in validation.

    Ledoit and Wolf, 2004, with the diagonal as target. There is no bias if α = 0, the usual choice for many rows.
    """
    rows = data.validation_rows()
    scores = [float(shrunk_gaussian(data.fit, data.noise, α).log_prob(rows).mean()) for α in SHRINKAGE]
    return shrunk_gaussian(data.whole, data.noise, SHRINKAGE[scores.index(max(scores))])


def shrunk_gaussian(rows: torch.Tensor, noise: float, α: float) -> NormalMixture:
    """Return the Gaussian of these rows with its covariance shrunk by α."""
    c = covariance(rows)
    shrunk = with_min_variance((1 - α) * c + α * torch.diag(c.diagonal()), noise, largest_variance(rows))
    words = "Gaussian, independent coordinates" if α == 1 else "Gaussian, full covariance"
    return NormalMixture(words, torch.zeros(1).to(rows), rows.mean(0)[None], torch.linalg.cholesky(shrunk)[None])
