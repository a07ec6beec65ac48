"""Energy magnitude: holds the level of the energy, which training otherwise leaves free, near zero."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.objective import Outcome


class EnergyMagnitude:
    """weight · (mean E(x_data)² + mean E(x_model)²), without the second term where an objective has no chains.

    Du and Mordatch, 2019 (arXiv 1903.08689), section 3.3. A density does not change when a constant is added to its
    energy, so a drift of both phases together goes unpunished by the objective until numbers overflow; this term stops
    it. Biased as a density: it also flattens differences of energy, the more the larger the weight.

    weight: > 0.
    """

    def __init__(self, weight: float) -> None:
        check.positive("weight", weight)
        self.weight = weight

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]:  # noqa: ARG002
        penalty = outcome.e_data.square().mean()
        if outcome.e_model is not None:
            penalty = penalty + outcome.e_model.square().mean()
        return self.weight * penalty
