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
class Sweep:
    """Predictions and measurements over temperatures.

    temperatures: in increasing order.
    now: the position of the run's own T among them.
    predicted, measured: results at each temperature.
    visits: the chains' own fractions at the run's T, and their standard errors over chains.
    errors: excess of the worst fraction's error over the tolerance at each temperature; None if nothing measures it.
    tolerance: accepted error of a fraction.
    """

    wells: Wells
    temperatures: list[float]
    now: int
    predicted: list[Float[np.ndarray, " k"]]
    measured: list[WeightedModeEstimates]
    visits: tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]
    errors: list[float | None]
    tolerance: float

    @property
    def breakdown(self) -> list[float]:
        """The lowest temperature at which a fraction is off by more than the tolerance; empty if none is."""
        return [T for T, e in zip(self.temperatures, self.errors, strict=True) if e is not None and e > 0][:1]


def proposal(wells: Wells, temperature: float) -> NormalMixture:
    """Return a mixture of one broad Gaussian and three Gaussians at each minimum.

    The three have 1, 1.6 and 3 times Laplace's covariance.
    """
    minima = wells.modes.minima.flatten(1).double()
    laplace = wells.log_masses(temperature).softmax(0)
    # Half of the draws are divided evenly among the wells, to measure light wells as well.
    weight = (1 - BROAD_WEIGHT) * (0.5 * laplace + 0.5 / len(minima)).repeat(len(SCALES)) / len(SCALES)
    covariance = temperature * torch.linalg.inv(wells.hessian)
    mean = (laplace[:, None] * minima).sum(0)
    between = (minima - mean).T @ (laplace[:, None] * (minima - mean))
    whole = between + (laplace[:, None, None] * covariance).sum(0)
    return NormalMixture(
        "proposal",
        torch.cat([weight, weight.new_tensor([BROAD_WEIGHT])]).log(),
        torch.cat([minima.repeat(len(SCALES), 1), mean[None]]),
        torch.linalg.cholesky(torch.cat([*(scale * covariance for scale in SCALES), 2 * whole[None]])),
    )


def importance(energy: nn.Module, wells: Wells, temperature: float, draws: int) -> WeightedModeEstimates:
    """Return fractions and widths under exp(−E/T), self-normalized.

    draws: independent draws (≥ 100).
    """
    modes, T = wells.modes, temperature
    rng = generator(0, "laplace_wells", modes.minima.device)
    q = proposal(wells, T)
    y = q.draw(draws, rng)
    x = y.to(modes.minima).view(draws, *modes.minima.shape[1:])
    log_w = -values(energy, x).double() / T - q.log_prob(y)
    w = torch.where(log_w.isfinite(), log_w, -torch.inf).softmax(0)
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
