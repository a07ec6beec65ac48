"""Sliced score matching: the trace of the second derivatives from random directions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.objective import Objective, Outcome, fisher, refuse_repeats, temperature_of
from ebm_cli.objective.score_matching import slope, square
from ebm_cli.sampler import Sampler


class SlicedScoreMatching(Objective):
    """loss = mean ½(vᵀ∇E)²/T² − vᵀ∇²E v/T over rows x and directions v of signs ±1, a backward pass a direction.

    Song et al., 2019 (arXiv 1905.07088), eq. 7, with the score −∇E/T; variance-reduced, eq. 8, the first term is its
    own mean over v, ½‖∇E‖²/T². As E[vvᵀ] = I both have the expectation of score matching and so its optimum; with
    signs (Hutchinson, 1990) the second term has no variance where ∇²E is diagonal. On a Gaussian with precisions aᵢ
    and n rows, one direction each, the estimate of aᵢ has variance (aᵢΣⱼaⱼ + aᵢ²)/n, 2aᵢ²/n when variance-reduced.

    projections: directions a row ≥ 1. variance_reduced: true or false. Logs fisher_divergence where the data's density
    is known.
    """

    def __init__(self, projections: int, variance_reduced: bool, data: Data, sampler: Sampler) -> None:
        super().__init__()
        check.count("projections", projections)
        if not isinstance(variance_reduced, bool):
            raise check.InputError(f"variance_reduced must be true or false, got {variance_reduced!r}")
        self.projections = projections
        self.variance_reduced = variance_reduced
        refuse_repeats(data)
        self.data = data
        self.temperature = temperature_of(sampler)

    @property
    def has_chains(self) -> bool:
        return False

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        T = self.temperature
        x, e, grad = slope(energy, batch.x)
        terms = []
        for _ in range(self.projections):
            v = signs_like(x, rng)
            along = (v * grad).flatten(1).sum(1)
            (curved,) = torch.autograd.grad(along.sum(), x, create_graph=True, materialize_grads=True)
            steep = square(grad) if self.variance_reduced else along.square()
            terms.append(0.5 * steep / T**2 - (v * curved).flatten(1).sum(1) / T)
        loss = torch.stack(terms).mean()
        norm = square(grad.detach()).sqrt().mean()
        measures = fisher(energy, batch.x, self.data, T)
        return Outcome(loss, batch.x, e, clean=batch.clean, scalars={"input_grad_norm": norm}, measures=measures)


def signs_like(x: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, "n *event"]:
    """±1 with equal chances, of x's shape, type and device."""
    return 2 * torch.randint(2, x.shape, generator=rng, device=x.device).to(x.dtype) - 1
