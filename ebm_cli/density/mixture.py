"""A Gaussian mixture: what a density must beat to have learnt more than clusters and their covariances."""

import itertools
import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.density.fit_data import Material, covariance, floored, largest_variance
from ebm_cli.density.normals import Density, Normals, Principal
from ebm_cli.rng import derive

COMPONENTS = (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40, 50, 70, 100)
# A larger number is tried until so many in a row were no better.
PATIENCE = 2
# Nats by which a larger number must be better: ties go to the smaller.
MATTERS = 0.003
# Added to each covariance's diagonal, of the mean variance.
RIDGES = (0.01, 0.03, 0.001, 0.1)
# Rows that the covariance common to all components counts for, beside a component's own.
POOLED = (0.0, 5.0, 10.0, 20.0, 50.0)
MOST_COORDINATES = 100
MOST_ROWS = 10_000


def fit(material: Material) -> Density:
    """Σₖ wₖ N(x; mₖ, (nₖCₖ + νC)/(nₖ + ν) + σ²I), by expectation maximisation of rows without noise (scikit-learn).

    nₖ, Cₖ: a component's rows and their covariance, with a ridge on its diagonal; C = Σₖ wₖCₖ. The number of
    components, the ridge and ν are those of the best validation. Over more than 100 coordinates the mixture is of the
    100 leading principal ones, beside independent normals; of more than 10,000 rows it is fitted to 10,000.
    """
    if material.size > MOST_COORDINATES:
        return leading(material)
    rows, scored, seed = material.fit[:MOST_ROWS], material.scored(), derive(material.seed, "baseline/mixture") % 2**32
    best, stale = (-torch.inf, 1, 0.0, 0.0), 0
    for k in (k for k in COMPONENTS if k == 1 or 4 * k <= len(rows)):
        found = max(tried(rows, scored, material.noise, k, RIDGES[0], seed))
        best, stale = (found, 0) if found[0] > best[0] + MATTERS else (best, stale + 1)
        if stale == PATIENCE:
            break
    k = best[1]
    found = [tried(rows, scored, material.noise, k, ridge, seed) for ridge in RIDGES[1:]]
    _, k, ridge, pooled = max(best, *itertools.chain(*found))
    # Both parts in an order of chance, as the cap would else leave the last one out.
    whole = material.whole
    whole = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))][:MOST_ROWS]
    return pooled_mixture(whole, maximised(whole, k, ridge, seed), material.noise, pooled)


def tried(
    rows: Tensor, scored: Tensor, noise: float, k: int, ridge: float, seed: int
) -> list[tuple[float, int, float, float]]:
    """The validation score of one fit under every ν, with what it is the score of."""
    found = maximised(rows, k, ridge, seed)
    scores = [
        float(pooled_mixture(rows, found, noise, ν).log_prob(scored).mean()) for ν in POOLED[: 1 if k == 1 else None]
    ]
    return [(score, k, ridge, ν) for score, ν in zip(scores, POOLED, strict=False)]


def maximised(
    rows: Float[Tensor, "n d"], k: int, ridge: float, seed: int
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d d"]]:
    """Weights, means and covariances by expectation maximisation, begun at k-means."""
    from sklearn.mixture import GaussianMixture

    added = ridge * (float(rows.var(0, correction=0).mean()) or 1.0)
    with warnings.catch_warnings():
        # Stopped at its hundredth round, or begun with fewer distinct rows than components: validation judges both.
        warnings.simplefilter("ignore")
        mixture: Any = GaussianMixture(k, reg_covar=added, random_state=seed).fit(rows.numpy())
    weights, means, covariances = (
        torch.as_tensor(found, dtype=rows.dtype) for found in (mixture.weights_, mixture.means_, mixture.covariances_)
    )
    return weights, means, covariances


def pooled_mixture(rows: Float[Tensor, "n d"], found: tuple[Tensor, Tensor, Tensor], noise: float, ν: float) -> Normals:
    """The mixture with its covariances drawn together by ν, and the noise in them."""
    weights, means, covariances = found
    own, largest = (weights * len(rows))[:, None, None], largest_variance(rows)
    common = (weights[:, None, None] * covariances).sum(0)
    drawn = (own * covariances + ν * common) / (own + ν)
    roots = torch.stack([torch.linalg.cholesky(floored(c, noise, largest)) for c in drawn])
    k = len(weights)
    return Normals(f"Gaussian mixture, {k} component{'s' if k > 1 else ''}", weights.log(), means, roots)


def leading(material: Material) -> Principal:
    """The mixture of the leading principal coordinates, beside independent normals of the others' variances."""
    middle = material.whole.mean(0)
    values, axes = torch.linalg.eigh(floored(covariance(material.whole), 0.0, largest_variance(material.whole)))
    values, axes = values.flip(0), axes.flip(1)
    few = axes[:, :MOST_COORDINATES]
    turned = Material((material.fit - middle) @ few, (material.check - middle) @ few, material.noise, material.seed)
    inner = fit(turned)
    words = f"{inner.words} of {MOST_COORDINATES} principal coordinates"
    return Principal(words, middle, axes, inner, (values[MOST_COORDINATES:] + material.noise**2).sqrt())
