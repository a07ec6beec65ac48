"""A Gaussian with full covariance: what a density must beat to have learnt more than second moments."""

import torch

from ebm_cli.density.fit_data import Material, covariance, floored, largest_variance
from ebm_cli.density.normals import Normals

SHRINKAGE = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


def fit(material: Material) -> Normals:
    """N(x; m, (1 − α)C + α·diag C + σ²I), C the covariance of rows without noise, α that of the best validation.

    Ledoit and Wolf, 2004, with the diagonal as target; without bias where α = 0, which many rows choose.
    """
    scored = material.scored()
    scores = [float(gaussian(material.fit, material.noise, α).log_prob(scored).mean()) for α in SHRINKAGE]
    return gaussian(material.whole, material.noise, SHRINKAGE[scores.index(max(scores))])


def gaussian(rows: torch.Tensor, noise: float, α: float) -> Normals:
    """The Gaussian of these rows."""
    c = covariance(rows)
    shrunk = floored((1 - α) * c + α * torch.diag(c.diagonal()), noise, largest_variance(rows))
    words = "Gaussian, independent coordinates" if α == 1 else "Gaussian, full covariance"
    return Normals(words, torch.zeros(1).to(rows), rows.mean(0)[None], torch.linalg.cholesky(shrunk)[None])
