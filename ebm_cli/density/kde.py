"""Kernel density: a Gaussian on every training row."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.density.fit_data import Material, covariance
from ebm_cli.density.normals import LOG_2PI

# Of the data's own spread, a factor √2 apart.
WIDTHS = (0.0, *(0.01 * 2 ** (i / 2) for i in range(15)))
SHAPES = ("round", "as the data")
CHUNK = 500
# Validation rows that a choice is made by: each costs a distance to every centre.
SCORED = 600


@dataclass(frozen=True)
class Kernel:
    """log (1/n) Σᵢ N(x; cᵢ, A diag(s²) Aᵀ): one normal law, at every centre.

    centres: cᵢA/s, so that all that is left is a distance. axes: A, orthogonal. spread: s.
    """

    words: str
    centres: Float[Tensor, "n d"]
    axes: Float[Tensor, "d d"]
    spread: Float[Tensor, " d"]

    def log_prob(self, x: Float[Tensor, "k d"]) -> Float[Tensor, " k"]:
        z = x @ self.axes / self.spread
        parts = [torch.cdist(part, self.centres).square().mul(-0.5).logsumexp(1) for part in z.split(CHUNK)]
        return torch.cat(parts) - math.log(len(self.centres)) - self.spread.log().sum() - 0.5 * x.shape[1] * LOG_2PI


def fit(material: Material) -> Kernel:
    """Kernels of covariance h²S + σ²I on rows without noise; h and S, round or as the data, of the best validation.

    S is the mean variance times I, or the covariance of the rows (Fukunaga, 1972). σ² is exact: kernels without it are
    rows without noise, which is then added.
    """
    scored = material.scored()[:SCORED]
    # Without noise and width there is no density.
    widths = WIDTHS if material.noise else WIDTHS[1:]
    best = (-torch.inf, SHAPES[0], 0.0)
    for shape in SHAPES:
        found = [(score(material, scored, shape, h), shape, h) for h in widths[::2]]
        i = 2 * found.index(max(found))
        between = widths[max(0, i - 1) : i + 2 : 2] if i else widths[1:2]
        best = max(best, *found, *((score(material, scored, shape, h), shape, h) for h in between))
    return kernel(material.whole, material.noise, *best[1:])


def score(material: Material, scored: Float[Tensor, "k d"], shape: str, h: float) -> float:
    """The mean validation log-density of one choice."""
    return float(kernel(material.fit, material.noise, shape, h).log_prob(scored).mean())


def kernel(rows: Float[Tensor, "n d"], noise: float, shape: str, h: float) -> Kernel:
    """The kernel density of these rows."""
    values, axes = torch.linalg.eigh(covariance(rows))
    values = values.clamp(min=1e-6 * float(values.max()) or 1e-6)
    variances = values if shape == "as the data" else values.mean().expand_as(values)
    spread = (h**2 * variances + noise**2).sqrt()
    shaped = "round" if shape == "round" else "shaped as the data"
    words = f"kernel density, {shaped}, {h:.2g} of their spread" if h else "kernel density, of the noise's own width"
    return Kernel(words, rows @ axes / spread, axes, spread)
