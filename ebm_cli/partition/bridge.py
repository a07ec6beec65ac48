"""Bridge sampling: log Z from paths in both directions."""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar
from scipy.special import expit

from ebm_cli.partition.log_weights import standard_error, student_factor


def bennett(forward: Float[np.ndarray, " n"], reverse: Float[np.ndarray, "chain each"]) -> tuple[float, float]:
    """Return log Z and its standard error by Bennett's acceptance ratio, from both directions.

    At c = log Z, Σ 1/(1 + e^{c + M − log w}) over forward paths equals Σ 1/(1 + e^{log w − c − M}) over reverse paths:
    Bennett, 1976 (J. Comput. Phys. 22, 245), eq. 12, with works −log w and M = log(n/n'). This is optimal bridge
    sampling (Meng and Wong, 1996). The error is from the variance of both sums; that of the second is over chains,
    because reverse paths from one chain are not independent.
    """
    flat = reverse.flatten()
    M = math.log(len(forward) / len(flat))

    def terms(c: float) -> tuple[np.ndarray, np.ndarray]:
        return expit(forward - c - M), expit(c + M - reverse)

    low, high = min(forward[np.isfinite(forward)].min(), flat.min()) - 1, max(forward.max(), flat.max()) + 1
    limits = [low - abs(M) - 20, high + abs(M) + 20]
    c = float(root_scalar(lambda c: terms(c)[0].sum() - terms(c)[1].sum(), bracket=limits, method="brentq").root)
    forward_terms, reverse_terms = terms(c)
    independent = (forward_terms, reverse_terms.mean(1))
    return c, float(np.hypot(*(student_factor(len(each)) * standard_error(each) / each.mean() for each in independent)))
