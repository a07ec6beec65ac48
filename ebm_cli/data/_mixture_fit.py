"""A mixture of Gaussians fitted to rows by expectation maximization."""

from typing import Any

import numpy as np
from jaxtyping import Float


def expectation_maximization(
    rows: Float[np.ndarray, "n size"], components: int, ridge: float, seed: int, **options: Any
) -> Any:
    """Return scikit-learn's mixture, fitted by expectation maximization from k-means; ridge: added to variances."""
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(components, reg_covar=ridge, random_state=seed, **options).fit(rows)
