"""A Gaussian mixture: a model with a higher likelihood has learned more than clusters and their covariances."""

import itertools
import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data._mixture_fit import expectation_maximization
from ebm_cli.density.fit_data import FitData, covariance, largest_variance, with_min_variance
from ebm_cli.density.normals import Density, NormalMixture, PrincipalDensity
from ebm_cli.rng import derive

COMPONENTS = (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40, 50, 70, 100)
# The search for the number of components stops after this many larger numbers without an improvement.
PATIENCE = 2
# Improvement in nats for which a larger number of components is chosen.
MIN_IMPROVEMENT = 0.003
# Ridges on the diagonal of each covariance, in mean variances.
RIDGES = (0.01, 0.03, 0.001, 0.1)
# Weight of the covariance common to all components, in rows.
POOLED = (0.0, 5.0, 10.0, 20.0, 50.0)
MAX_COORDINATES = 100
MAX_ROWS = 10_000


def fit(data: FitData) -> Density:
    """Return Σₖ wₖ N(x; mₖ, (nₖCₖ + νC)/(nₖ + ν) + σ²I), by expectation maximization of rows without noise.

    nₖ, Cₖ: a component's number of rows and their covariance, with a ridge on its diagonal; C = Σₖ wₖCₖ. The number of
    components, the ridge and ν are the best in validation. Above 100 coordinates the mixture is of the 100 leading
    principal coordinates, and the others are independent normals. At most 10,000 rows are used.
    """
    if data.size > MAX_COORDINATES:
        return fit_leading(data)
    rows, checked, seed = data.fit[:MAX_ROWS], data.validation_rows(), derive(data.seed, "baseline/mixture") % 2**32
    best, stale = (-torch.inf, 1, 0.0, 0.0), 0
    for k in (k for k in COMPONENTS if k == 1 or 4 * k <= len(rows)):
        found = max(scores(rows, checked, data.noise, k, RIDGES[0], seed))
        best, stale = (found, 0) if found[0] > best[0] + MIN_IMPROVEMENT else (best, stale + 1)
        if stale == PATIENCE:
            break
    k = best[1]
    found = [scores(rows, checked, data.noise, k, ridge, seed) for ridge in RIDGES[1:]]
    _, k, ridge, pooled = max(best, *itertools.chain(*found))
    # Both parts are in random order. Otherwise the limit would leave out rows of the last part.
    whole = data.whole
    whole = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))][:MAX_ROWS]
    return pooled_mixture(whole, components(whole, k, ridge, seed), data.noise, pooled)


def scores(
    rows: Tensor, checked: Tensor, noise: float, k: int, ridge: float, seed: int
) -> list[tuple[float, int, float, float]]:
    """Return the validation score of one fit for each ν, together with k, ridge and ν."""
    found = components(rows, k, ridge, seed)
    return [
        (float(pooled_mixture(rows, found, noise, ν).log_prob(checked).mean()), k, ridge, ν)
        for ν in POOLED[: 1 if k == 1 else None]
    ]


def components(
    rows: Float[Tensor, "n d"], k: int, ridge: float, seed: int
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d d"]]:
    """Return weights, means and covariances by expectation maximization that starts at k-means."""
    with warnings.catch_warnings():
        # Not converged in a hundred rounds, or fewer distinct rows than components: validation judges both.
        warnings.simplefilter("ignore")
        added = ridge * (float(rows.var(0, correction=0).mean()) or 1.0)
        found = expectation_maximization(rows.numpy(), k, added, seed)
    weights, means, covariances = (
        torch.as_tensor(each, dtype=rows.dtype) for each in (found.weights_, found.means_, found.covariances_)
    )
    return weights, means, covariances


def pooled_mixture(
    rows: Float[Tensor, "n d"], found: tuple[Tensor, Tensor, Tensor], noise: float, ν: float
) -> NormalMixture:
    """Return the mixture with its covariances pooled by ν and the noise added."""
    weights, means, covariances = found
    own, largest = (weights * len(rows))[:, None, None], largest_variance(rows)
    common = (weights[:, None, None] * covariances).sum(0)
    pooled = (own * covariances + ν * common) / (own + ν)
    roots = torch.stack([torch.linalg.cholesky(with_min_variance(c, noise, largest)) for c in pooled])
    k = len(weights)
    return NormalMixture(f"Gaussian mixture, {k} component{'s' if k > 1 else ''}", weights.log(), means, roots)


def fit_leading(data: FitData) -> PrincipalDensity:
    """Return the mixture of the leading principal coordinates, with independent normals of the others' variances."""
    whole = data.whole
    center = whole.mean(0)
    values, axes = torch.linalg.eigh(with_min_variance(covariance(whole), 0.0, largest_variance(whole)))
    values, axes = values.flip(0), axes.flip(1)
    few = axes[:, :MAX_COORDINATES]
    inner = fit(FitData((data.fit - center) @ few, (data.check - center) @ few, data.noise, data.seed))
    words = f"{inner.words} of {MAX_COORDINATES} principal coordinates"
    return PrincipalDensity(words, center, axes, inner, (values[MAX_COORDINATES:] + data.noise**2).sqrt())
