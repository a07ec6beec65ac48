"""The masses and widths of wells by importance sampling from widened Laplace Gaussians."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from ebm_cli.density.normals import NormalMixture
from ebm_cli.diagnostic._laplace_search import Wells
from ebm_cli.rng import generator
from ebm_cli.wells.descent import values

# Factors of Laplace's covariances. Importance sampling needs draws that are wider than the wells.
SCALES = (1.0, 1.6, 3.0)
# Probability of a draw from one broad Gaussian over all wells.
BROAD_WEIGHT = 0.2
# Weighted draws with a smaller effective sample size than this measure nothing.
MIN_EFFECTIVE = 100


@dataclass(frozen=True)
class WeightedModeEstimates:
    """Fractions of the mass and widths of modes by weighted draws, with standard errors.

    width: ⟨(x − xᵢ)ᵀHᵢ(x − xᵢ)⟩/(dT) in each mode, xᵢ its lowest minimum; 1 for a Gaussian.
    effective: effective sample size of the weights, (Σw)²/Σw².
    """

    fraction: Float[np.ndarray, " k"]
    fraction_se: Float[np.ndarray, " k"]
    width: Float[np.ndarray, " k"]
    width_se: Float[np.ndarray, " k"]
    effective: float

    @property
    def is_reliable(self) -> bool:
        """Return True if the weights have not collapsed on few draws."""
        return self.effective >= MIN_EFFECTIVE


@dataclass(frozen=True)
class TemperatureScan:
    """Laplace's fractions of the mass, and measurements, at several temperatures.

    temperatures: in increasing order.
    run_index: index of the run's own T in `temperatures`.
    predicted: Laplace's fractions at each temperature.
    measured: the results of weighted draws at each temperature.
    visits: the chains' own fractions at the run's T, and their standard errors over chains.
    errors: error of the worst fraction minus the tolerance at each temperature; None if nothing measures it.
    tolerance: accepted error of a fraction.
    """

    wells: Wells
    temperatures: list[float]
    run_index: int
    predicted: list[Float[np.ndarray, " k"]]
    measured: list[WeightedModeEstimates]
    visits: tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]
    errors: list[float | None]
    tolerance: float

    @property
    def breakdown(self) -> list[float]:
        """Return the lowest temperature at which a fraction is off by more than the tolerance, or an empty list."""
        return [T for T, e in zip(self.temperatures, self.errors, strict=True) if e is not None and e > 0][:1]


def proposal(wells: Wells, temperature: float) -> NormalMixture:
    """Return a mixture of one broad Gaussian and three Gaussians at each minimum.

    The three have 1, 1.6 and 3 times Laplace's covariance. The broad one has twice the covariance of Laplace's mixture.
    """
    minima = wells.modes.minima.flatten(1).double()
    laplace = wells.log_masses(temperature).softmax(0)
    # Half of these draws follow Laplace's masses. The others are divided evenly, so that light wells are measured too.
    weight = (1 - BROAD_WEIGHT) * (0.5 * laplace + 0.5 / len(minima)).repeat(len(SCALES)) / len(SCALES)
    covariance = temperature * torch.linalg.inv(wells.hessian)
    mean = (laplace[:, None] * minima).sum(0)
    # Covariance of Laplace's mixture: between its components, and within them.
    between = (minima - mean).T @ (laplace[:, None] * (minima - mean))
    whole = between + (laplace[:, None, None] * covariance).sum(0)
    return NormalMixture(
        "proposal",
        torch.cat([weight, weight.new_tensor([BROAD_WEIGHT])]).log(),
        torch.cat([minima.repeat(len(SCALES), 1), mean[None]]),
        torch.linalg.cholesky(torch.cat([*(scale * covariance for scale in SCALES), 2 * whole[None]])),
    )


def importance_estimates(energy: nn.Module, wells: Wells, temperature: float, draws: int) -> WeightedModeEstimates:
    """Return fractions and widths under exp(−E/T) by self-normalized importance sampling.

    draws: number of independent draws of `proposal` (≥ 100).
    """
    modes, T = wells.modes, temperature
    rng = generator(0, "laplace_wells", modes.minima.device)
    q = proposal(wells, T)
    y = q.draw(draws, rng)
    x = y.to(modes.minima).view(draws, *modes.minima.shape[1:])
    log_w = -values(energy, x).double() / T - q.log_prob(y)
    w = torch.where(log_w.isfinite(), log_w, -torch.inf).softmax(0)
    mode = torch.as_tensor(wells.assign(energy, x, T), device=w.device)
    # Minima are sorted by energy: the first of each mode is its lowest.
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
