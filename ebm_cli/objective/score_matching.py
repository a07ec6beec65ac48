"""Score matching with the exact trace: training without chains and without log Z."""

import math

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.energy._score import differentiable_grad, squared_norm, trace
from ebm_cli.objective._score import ScoreLoss, ScoreObjective, refuse_repeats
from ebm_cli.sampler import Sampler


class ScoreMatching(ScoreObjective):
    """loss = mean ½‖∇E(x)‖²/T² − tr ∇²E(x)/T.

    Hyvärinen, 2005 (JMLR 6, 695), eq. 4, with the score ψ = −∇E/T. It differs by a constant from the Fisher divergence
    ½E‖∇log p_data − ψ‖². If the model can represent the data distribution, that is the optimum; otherwise the optimum
    differs from maximum likelihood's. For a Gaussian with known mean it is the maximum-likelihood estimate on every
    sample. The loss does not depend on the masses of modes with nothing between them. The trace costs one backward pass
    per dimension.

    max_dimension: maximum number of dimensions for which the trace is computed (≥ 1).

    Logs fisher_divergence if the density of the data is known.
    """

    def __init__(self, max_dimension: int, event: tuple[int, ...], data: Data, sampler: Sampler) -> None:
        super().__init__(data, sampler)
        check.count("max_dimension", max_dimension)
        d = math.prod(event)
        if d > max_dimension:
            raise InputError(
                f"max_dimension must be >= the {d} dimensions (one backward pass per dimension and step), got "
                f"{max_dimension}. Increase it, or use objective=sliced_score_matching"
            )
        refuse_repeats(data)

    def loss(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> ScoreLoss:  # noqa: ARG002
        x, e, grad = differentiable_grad(energy, batch.x)
        T = self.temperature
        return ScoreLoss(0.5 * squared_norm(grad).mean() / T**2 - trace(grad, x).mean() / T, e, grad)
