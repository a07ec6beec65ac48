"""Concrete score matching: the score of discrete states, ratios of probabilities, is fitted by squared error."""

from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.objective._conditional import ConditionalObjective, log_ratios


class ConcreteScoreMatching(ConditionalObjective):
    """loss = mean Σᵢ Σₐ [r² − 2/r], r = p(xᵢ ← a)/p(x) over all other values a of site i.

    Meng et al., 2022 (arXiv 2211.00802): up to a constant it is the mean squared error Σ (r − r_data)² of the concrete
    score, because the mean of r_data·r over x is that of 1/r over the data. Consistent. A rare value of a site gives a
    large 1/r, so that the loss has a larger variance than that of pseudo_likelihood or ratio_matching.

    sites: see `ConditionalObjective`.
    """

    def site_losses(self, log_p: Float[Tensor, "n m k"], own: Int[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        ratios = log_ratios(log_p, own)
        is_own = ratios.isneginf()
        inverse = (-ratios).masked_fill(is_own, -float("inf")).exp()
        return ((2 * ratios).exp() - 2 * inverse).sum(2)
