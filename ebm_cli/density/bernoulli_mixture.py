"""A mixture of products: a model with a higher likelihood has learned more than clusters of independent sites."""

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import one_hot

from ebm_cli.data._sites import Sites
from ebm_cli.density.discrete_rows import DiscreteFitData, ProductMixture, indicators
from ebm_cli.rng import derive

COMPONENTS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 70, 100, 150, 200, 300)
# The search for the number of components stops after this many larger numbers without an improvement.
PATIENCE = 2
# Improvement in nats for which a larger number of components is chosen.
MIN_IMPROVEMENT = 0.003
# Rows of the overall frequencies that are added to each component: the first in the search, then the others.
ADDED_ROWS = (1.0, 0.3, 3.0)
MAX_ROUNDS, MIN_GAIN = 40, 0.003
MAX_ROWS = 10_000


def fit(data: DiscreteFitData, stop: Callable[[], bool]) -> ProductMixture:
    """Return Σₘ wₘ Πᵢ pₘᵢ(xᵢ), by expectation maximization that starts at k-means.

    pₘᵢ(v) = (nₘᵢᵥ + ν pᵢ(v))/(nₘ + ν), with nₘ the expected number of rows of a component, nₘᵢᵥ of those with value v,
    and pᵢ(v) the overall frequency. The number of components and ν are the best in validation. At most 10,000 rows are
    used.

    stop: polled before each number of components; if true, the best so far is used.
    """
    rows, seed = data.fit[:MAX_ROWS], derive(data.seed, "baseline/bernoulli_mixture") % 2**32

    def score(k: int, ν: float) -> tuple[float, int, float]:
        return float(mixture(rows, data.sites, k, ν, seed).log_prob(data.check).mean()), k, ν

    best, stale = (-torch.inf, 1, ADDED_ROWS[0]), 0
    for k in (k for k in COMPONENTS if k == 1 or 4 * k <= len(rows)):
        found = score(k, ADDED_ROWS[0])
        best, stale = (found, 0) if found[0] > best[0] + MIN_IMPROVEMENT else (best, stale + 1)
        if stale == PATIENCE or stop():
            break
    _, k, ν = max(best, *(score(best[1], ν) for ν in ADDED_ROWS[1:]))
    # Both parts are in the order of the set. Otherwise the limit would leave out rows of the last part.
    whole = data.whole
    whole = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))][:MAX_ROWS]
    return mixture(whole, data.sites, k, ν, seed)


def mixture(numbers: Int[Tensor, "n d"], sites: Sites, k: int, ν: float, seed: int) -> ProductMixture:
    """Return the mixture of k components after expectation maximization."""
    x = indicators(numbers, sites.values)
    # One row more, spread evenly over the values, so that no probability is 0.
    overall = (expected_counts(x, torch.ones(len(x), 1).double(), sites) + 1 / sites.values) / (len(x) + 1)
    previous = -torch.inf
    found = most_likely(expected_counts(x, nearest_centers(x, k, seed), sites), overall, ν, sites)
    for _ in range(MAX_ROUNDS):
        joint = found.joint(x)
        log_p = joint.logsumexp(1, keepdim=True)
        mean = float(log_p.mean())
        if mean < previous + MIN_GAIN:
            break
        previous = mean
        found = most_likely(expected_counts(x, (joint - log_p).exp(), sites), overall, ν, sites)
    return found


def nearest_centers(x: Float[Tensor, "n features"], k: int, seed: int) -> Float[Tensor, "n k"]:
    """Return the weight of each component for each row: 1 for the nearest center of k-means, 0 for all others."""
    with warnings.catch_warnings():
        # Fewer distinct rows than components: validation judges it.
        warnings.simplefilter("ignore")
        nearest = KMeans(k, random_state=seed).fit_predict(x.float().numpy())
    return one_hot(torch.as_tensor(nearest).long(), k).double()


def expected_counts(
    x: Float[Tensor, "n features"], weights: Float[Tensor, "n components"], sites: Sites
) -> Float[Tensor, "components d k"]:
    """Return the expected number of rows of each component with each value of each site."""
    others = (weights.T @ x).view(weights.shape[1], sites.count, sites.values - 1)
    first = weights.sum(0)[:, None, None] - others.sum(2, keepdim=True)
    return torch.cat([first.clamp(min=0), others], 2)


def most_likely(
    counts: Float[Tensor, "components d k"], overall: Float[Tensor, "1 d k"], ν: float, sites: Sites
) -> ProductMixture:
    """Return the mixture with the frequencies of these counts and ν added rows per component."""
    n = counts[:, 0].sum(1)
    log_p = ((counts + ν * overall) / (n + ν)[:, None, None]).log()
    kind = "independent categories" if sites.space == "categorical" else "independent Bernoulli variables"
    words = f"mixture of {len(n)} × {kind}"
    return ProductMixture(words, ((n + 1) / (n + 1).sum()).log(), log_p)
