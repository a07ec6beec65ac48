"""Densities of angles: a von Mises distribution per angle, and a kernel density of them."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import ive
from torch import Tensor

from ebm_cli.data import _angles, _von_mises
from ebm_cli.density.fit_data import FitData

# Concentrations of kernels, a factor 2 apart, and the largest concentration of a fit.
KERNELS = [0.5 * 2**i for i in range(14)]
MAX_CONCENTRATION = 1e6
MAX_ROWS_PER_CALL = 500
# Number of validation rows that choose the kernel: each costs its distance to every center.
VALIDATION_ROWS = 600


@dataclass(frozen=True)
class VonMisesDensity:
    """log (1/n) Σⱼ Πᵢ exp(κᵢ cos(xᵢ − cⱼᵢ))/(2π I₀(κᵢ)): the same product of von Mises distributions at every center.

    centers: cⱼ. kappa: κ.
    """

    words: str
    centers: Float[Tensor, "n d"]
    kappa: Float[Tensor, " d"]

    def log_prob(self, x: Float[Tensor, "k d"]) -> Float[Tensor, " k"]:
        # cos(x − c) = cos x cos c + sin x sin c.
        features = _angles.on_circles(self.centers) * self.kappa.repeat(2)
        parts = [(_angles.on_circles(part) @ features.T).logsumexp(1) for part in x.split(MAX_ROWS_PER_CALL)]
        return torch.cat(parts) - math.log(len(self.centers)) - _von_mises.log_normalizer(self.kappa).sum()


def fit_product(data: FitData) -> VonMisesDensity:
    """Return independent von Mises distributions with the mean directions and resultant lengths of noisy rows.

    This is the maximum-likelihood estimate. Noise of σ shortens the resultant by exp(−σ²/2).
    """
    cosines, sines = _angles.on_circles(data.whole).mean(0).chunk(2)
    lengths = (cosines**2 + sines**2).sqrt() * math.exp(-(data.noise**2) / 2)
    κ = torch.tensor([concentration(float(length)) for length in lengths], dtype=torch.float64)
    return VonMisesDensity("independent von Mises distributions", torch.atan2(sines, cosines)[None], κ)


def concentration(length: float) -> float:
    """Return κ of a von Mises distribution with this mean resultant length, I₁(κ)/I₀(κ)."""

    def excess(κ: float) -> float:
        return float(ive(1, κ) / ive(0, κ)) - length

    if excess(MAX_CONCENTRATION) <= 0:
        return MAX_CONCENTRATION
    return cast(float, brentq(excess, 0.0, MAX_CONCENTRATION))


def fit_kernels(data: FitData) -> VonMisesDensity:
    """Return a von Mises distribution at every row without noise, with the κ that is best in validation."""
    rows = data.validation_rows()[:VALIDATION_ROWS]
    best = max(KERNELS, key=lambda κ: float(kernels(data.fit, κ).log_prob(rows).mean()))
    return kernels(data.whole, best)


def kernels(rows: Float[Tensor, "n d"], kappa: float) -> VonMisesDensity:
    """Return the kernel density of these rows."""
    words = f"kernel density of von Mises distributions, κ = {kappa:g}"
    return VonMisesDensity(words, rows, torch.full((rows.shape[1],), kappa, dtype=torch.float64))
