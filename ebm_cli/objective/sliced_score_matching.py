"""Sliced score matching: the trace of the second derivatives from random directions."""

import torch
from torch import nn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.energy._score import differentiable_grad, squared_norm
from ebm_cli.objective._score import ScoreLoss, ScoreObjective, refuse_repeats
from ebm_cli.rng import signs_like
from ebm_cli.sampler import Sampler


class SlicedScoreMatching(ScoreObjective):
    """loss = mean ½(vᵀ∇E)²/T² − vᵀ∇²E v/T over samples x and random sign vectors v; one backward pass per direction.

    Song et al., 2019 (arXiv 1905.07088), eq. 7, with the score −∇E/T. The variance-reduced form, eq. 8, replaces the
    first term by its mean over v, ½‖∇E‖²/T². Because E[vvᵀ] = I, both have the expectation of score matching and
    therefore its optimum. With signs (Hutchinson, 1990) the variance of the second term is 0 if ∇²E is diagonal. On a
    Gaussian with precisions aᵢ, n samples and one direction each, the estimate of aᵢ has variance (aᵢΣⱼaⱼ + aᵢ²)/n;
    variance-reduced, 2aᵢ²/n.

    projections: directions per sample (≥ 1).
    variance_reduced: True for eq. 8, False for eq. 7.

    Logs fisher_divergence if the density of the data is known.
    """

    def __init__(self, projections: int, variance_reduced: bool, data: Data, sampler: Sampler) -> None:
        super().__init__(data, sampler)
        check.count("projections", projections)
        if not isinstance(variance_reduced, bool):
            raise check.InputError(f"variance_reduced must be true or false, got {variance_reduced!r}")
        self.projections = projections
        self.variance_reduced = variance_reduced
        refuse_repeats(data)

    def loss(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> ScoreLoss:
        T = self.temperature
        x, e, grad = differentiable_grad(energy, batch.x)
        terms = []
        for _ in range(self.projections):
            v = signs_like(x, rng)
            along = (v * grad).flatten(1).sum(1)
            (curvature,) = torch.autograd.grad(along.sum(), x, create_graph=True, materialize_grads=True)
            slope = squared_norm(grad) if self.variance_reduced else along.square()
            terms.append(0.5 * slope / T**2 - (v * curvature).flatten(1).sum(1) / T)
        return ScoreLoss(torch.stack(terms).mean(), e, grad)
