"""Kernel density estimation: a Gaussian at every training row."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.density.fit_data import FitData, covariance
from ebm_cli.density.normals import LOG_2PI

# Kernel widths h in standard deviations of the data, a factor √2 apart.
WIDTHS = (0.0, *(0.01 * 2 ** (i / 2) for i in range(15)))
SHAPES = ("round", "as the data")
MAX_ROWS_PER_CALL = 500
# Number of validation rows that choose the kernel: each costs its distance to every center.
VALIDATION_ROWS = 600


@dataclass(frozen=True)
class KernelDensity:
    """log (1/n) Σᵢ N(x; cᵢ, A diag(s²) Aᵀ): the same normal kernel at every center.

    centers: cᵢA/s. In these units the exponent is a squared distance.
    axes: A, orthogonal.
    std: s.
    """

    words: str
    centers: Float[Tensor, "n d"]
    axes: Float[Tensor, "d d"]
    std: Float[Tensor, " d"]

    def log_prob(self, x: Float[Tensor, "k d"]) -> Float[Tensor, " k"]:
        z = x @ self.axes / self.std
        parts = [torch.cdist(part, self.centers).square().mul(-0.5).logsumexp(1) for part in z.split(MAX_ROWS_PER_CALL)]
        return torch.cat(parts) - math.log(len(self.centers)) - self.std.log().sum() - 0.5 * x.shape[1] * LOG_2PI


def fit(data: FitData) -> KernelDensity:
    """Return kernels of covariance h²S + σ²I at rows without noise, with h and S the best in validation.

    S is the mean variance times I, or the covariance of the rows (Fukunaga, 1972). The noise is exact, because rows
    without noise plus noise of σ² is what is scored.
    """
    rows = data.validation_rows()[:VALIDATION_ROWS]

    def score(shape: str, h: float) -> tuple[float, str, float]:
        return float(kernel_density(data.fit, data.noise, shape, h).log_prob(rows).mean()), shape, h

    # A kernel without noise and width does not have a density.
    widths = WIDTHS if data.noise else WIDTHS[1:]
    best = (-torch.inf, SHAPES[0], 0.0)
    for shape in SHAPES:
        found = [score(shape, h) for h in widths[::2]]
        i = 2 * found.index(max(found))
        between = widths[max(0, i - 1) : i + 2 : 2] if i else widths[1:2]
        best = max(best, *found, *(score(shape, h) for h in between))
    return kernel_density(data.whole, data.noise, *best[1:])


def kernel_density(rows: Float[Tensor, "n d"], noise: float, shape: str, h: float) -> KernelDensity:
    """Return the kernel density of these rows."""
    values, axes = torch.linalg.eigh(covariance(rows))
    values = values.clamp(min=1e-6 * float(values.max()) or 1e-6)
    variances = values if shape == "as the data" else values.mean().expand_as(values)
    std = (h**2 * variances + noise**2).sqrt()
    shaped = "round" if shape == "round" else "shaped as the data"
    width = f"{shaped}, {h:.2g} of the data's standard deviation" if h else "of the noise's own width"
    return KernelDensity(f"kernel density, {width}", rows @ axes / std, axes, std)
