"""Independent sites: a model with a higher likelihood has learned more than how often each site has each value."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import one_hot

from ebm_cli.data._sites import Sites
from ebm_cli.density.discrete_rows import PSEUDO_COUNTS, DiscreteFitData, ProductMixture


def fit(data: DiscreteFitData) -> ProductMixture:
    """Return Πᵢ pᵢ(xᵢ) with pᵢ(v) = (nᵢᵥ + α/k)/(n + α), k the number of values and α the best in validation.

    nᵢᵥ is the number of the n rows in which site i has value v.
    """
    scores = [float(independent(data.fit, data.sites, α).log_prob(data.check).mean()) for α in PSEUDO_COUNTS]
    return independent(data.whole, data.sites, PSEUDO_COUNTS[scores.index(max(scores))])


def independent(numbers: Int[Tensor, "n d"], sites: Sites, α: float) -> ProductMixture:
    """Return independent sites with the frequencies of these rows and α pseudo-counts."""
    k = sites.values
    p = (one_hot(numbers, k).sum(0).double() + α / k) / (len(numbers) + α)
    words = "independent categories" if sites.space == "categorical" else "independent Bernoulli variables"
    return ProductMixture(words, torch.zeros(1, dtype=p.dtype), p.log()[None])
