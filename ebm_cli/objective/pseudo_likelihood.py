"""Pseudo-likelihood: every site is predicted from all others."""

from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.objective._conditional import ConditionalObjective, of_own


class PseudoLikelihood(ConditionalObjective):
    """loss = −mean Σᵢ log p(xᵢ | all other sites).

    Besag, 1975 (The Statistician 24, 179). It is consistent: if the model can represent the distribution of the data,
    that is the optimum for many rows (Hyvärinen, 2006, Neural Computation 18, 2283). For independent sites it is the
    likelihood; for strongly dependent sites it has a larger variance than maximum likelihood.

    sites: see `ConditionalObjective`.
    """

    def site_losses(self, log_p: Float[Tensor, "n m k"], own: Int[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        return -of_own(log_p, own)
