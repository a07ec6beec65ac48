"""The masses and widths of wells by importance sampling from widened Laplace Gaussians."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.diagnostic._laplace_search import Wells
from ebm_cli.rng import generator, normal_like
from ebm_cli.wells.descent import values

# Factors by which Laplace's covariances are widened, and the probability of one broad Gaussian over all wells.
SCALES = (1.0, 1.6, 3.0)
BROAD_WEIGHT = 0.2
MIN_EFFECTIVE = 100


@dataclass(frozen=True)
class WeightedModeEstimates:
    """Fractions of the mass and widths of modes by weighted draws, with standard errors.

    effective: number of draws with the same error without weights, (Σw)²/Σw².
    """

    fraction: Float[np.ndarray, " k"]
    fraction_se: Float[np.ndarray, " k"]
    width: Float[np.ndarray, " k"]
    width_se: Float[np.ndarray, " k"]
    effective: float

    @property
    def is_reliable(self) -> bool:
        """True if the weights have not collapsed on few draws."""
        return self.effective >= MIN_EFFECTIVE


@dataclass(frozen=True)
class Proposal:
    """A mixture of Gaussians: weights, means and Cholesky factors of the covariances."""

    weight: Float[Tensor, " components"]
    mean: Float[Tensor, "components d"]
    factor: Float[Tensor, "components d d"]

    def draw(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """Return n draws and their log density."""
        d = self.mean.shape[1]
        k = torch.multinomial(self.weight, n, replacement=True, generator=rng)
        ξ = normal_like(self.mean.new_empty(n, d), rng)
        y = self.mean[k] + (self.factor[k] @ ξ[:, :, None])[:, :, 0]
        z = torch.linalg.solve_triangular(self.factor, (y - self.mean[:, None]).mT, upper=False).square().sum(1)
        log_det = self.factor.diagonal(dim1=1, dim2=2).log().sum(1)
        log_q = torch.logsumexp(self.weight.log()[:, None] - z / 2 - log_det[:, None], 0)
        return y, log_q - d / 2 * math.log(2 * math.pi)


def proposal(wells: Wells, temperature: float) -> Proposal:
    """Return Gaussians at the minima with 1, 1.6 and 3 times Laplace's covariance, and a broad one."""
    minima = wells.modes.minima.flatten(1).double()
    laplace = wells.log_masses(temperature).softmax(0)
    # Half of the draws are divided evenly among the wells, to measure light ones as well.
    weight = (1 - BROAD_WEIGHT) * (0.5 * laplace + 0.5 / len(minima)).repeat(len(SCALES)) / len(SCALES)
    covariance = temperature * torch.linalg.inv(wells.hessian)
    mean = (laplace[:, None] * minima).sum(0)
    between = (minima - mean).T @ (laplace[:, None] * (minima - mean))
    whole = between + (laplace[:, None, None] * covariance).sum(0)
    return Proposal(
        torch.cat([weight, weight.new_tensor([BROAD_WEIGHT])]),
        torch.cat([minima.repeat(len(SCALES), 1), mean[None]]),
        torch.linalg.cholesky(torch.cat([*(scale * covariance for scale in SCALES), 2 * whole[None]])),
    )


def importance(energy: nn.Module, wells: Wells, temperature: float, draws: int) -> WeightedModeEstimates:
    """Return fractions and widths under exp(−E/T), self-normalized.

    draws: independent draws (≥ 100).
    """
    modes, T = wells.modes, temperature
    rng = generator(0, "laplace_wells", modes.minima.device)
    y, log_q = proposal(wells, T).draw(draws, rng)
    x = y.to(modes.minima).view(draws, *modes.minima.shape[1:])
    log_w = -values(energy, x).double() / T - log_q
    w = torch.where(log_w.isfinite(), log_w, -math.inf).softmax(0)
    mode = torch.as_tensor(wells.assign(energy, x, T), device=w.device)
    lowest = torch.as_tensor(np.unique(modes.mode, return_index=True)[1], device=w.device)
    offset = y - modes.minima.flatten(1).double()[lowest[mode]]
    square = torch.einsum("ni,nij,nj->n", offset, wells.hessian[lowest[mode]], offset) / (y.shape[1] * T)
    inside = nn.functional.one_hot(mode, len(modes)).double()
    p = w @ inside
    p_se = ((w[:, None] * (inside - p)).square().sum(0)).sqrt()
    width = (w * square) @ inside / p
    width_se = ((w[:, None] * inside * (square[:, None] - width)).square().sum(0)).sqrt() / p
    arrays = [array.cpu().numpy() for array in (p, p_se, width, width_se)]
    return WeightedModeEstimates(*arrays, effective=float(1 / w.square().sum()))
