"""Ratio matching: ratios of probabilities of neighboring states are fitted, and Z cancels."""

from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.energy import DISCRETE
from ebm_cli.objective._conditional import ConditionalObjective, of_own


class RatioMatching(ConditionalObjective):
    """loss = mean Σᵢ g(p(x)/p(x̄ᵢ))², g(u) = 1/(1 + u), x̄ᵢ the state with site i changed to its other value.

    Hyvärinen, 2007 (Computational Statistics and Data Analysis 51, 2499), equation 17. g of that ratio is the
    probability of the other value given all other sites, so that no ratio is unbounded. Up to a constant the loss is
    half the squared error of g of all ratios and of their inverses. Consistent. For sites with two values.

    sites: see `ConditionalObjective`.
    """

    spaces = DISCRETE - {"categorical"}

    def site_losses(self, log_p: Float[Tensor, "n m k"], own: Int[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        return (2 * of_own(log_p, 1 - own)).exp()
