"""Energy magnitude: keep the level of the energy near zero. Training does not determine it otherwise."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.objective import Outcome


class EnergyMagnitude:
    """weight · (mean E(x_data)² + mean E(x_model)²); the second term needs an objective with chains.

    Du and Mordatch, 2019 (arXiv 1903.08689), section 3.3. A constant added to the energy does not change the density.
    Therefore the objective does not stop both phases from drifting together until numbers overflow; this term does. It
    biases the density, because it also flattens energy differences. The bias grows with the weight.

    weight: factor of the penalty (> 0).
    """

    def __init__(self, weight: float) -> None:
        check.positive("weight", weight)
        self.weight = weight

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]:  # noqa: ARG002
        penalty = outcome.e_data.square().mean()
        if outcome.e_model is not None:
            penalty = penalty + outcome.e_model.square().mean()
        return self.weight * penalty
