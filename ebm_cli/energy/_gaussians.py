"""Mixtures of Gaussians with full covariances, which serve as energies, noise distributions and bases of paths."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._mixture_fit import expectation_maximization
from ebm_cli.data._rows import noisy_available_rows

MAX_ROWS = 20_000
# Ridge on the diagonal of each covariance, as a fraction of the mean variance of the coordinates.
RIDGE = 1e-3
# Rows per matrix product on a CPU. The differences to all components then stay in its cache, which saves a third.
ROWS_IN_CACHE = 64


class Gaussians(nn.Module):
    """−log Σₖ wₖ N(x; mₖ, Cₖ). Its numbers are buffers, so that they are saved with the weights of a model.

    means: mₖ.
    factors: Fₖ with FₖFₖᵀ = Cₖ⁻¹, upper triangular.
    log_scales: log wₖ + log det Fₖ − size/2·log 2π.
    """

    means: Tensor
    factors: Tensor
    log_scales: Tensor

    def __init__(self, numbers: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in numbers.items():
            self.register_buffer(name, value)

    def forward(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        return -torch.logsumexp(self._log_parts(x, self._columns())[1], dim=1)

    def energy_and_grad(self, x: Float[Tensor, "n size"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n size"]]:
        columns, rows_of_factors = self._columns(), self.factors.transpose(1, 2).flatten(0, 1)
        energies, grads = [], []
        for rows in x.split(max(len(x), 1) if x.is_cuda else ROWS_IN_CACHE):
            z, log_parts = self._log_parts(rows, columns)
            energies.append(-log_parts.logsumexp(1))
            grads.append((log_parts.softmax(1)[:, :, None] * z).flatten(1) @ rows_of_factors)
        return torch.cat(energies), torch.cat(grads)

    def _columns(self) -> tuple[Float[Tensor, " size"], Float[Tensor, "size Ksize"], Float[Tensor, "K size"]]:
        """Return a common center c of the means, the factors side by side, and Fₖᵀ(mₖ − c)."""
        # One matrix product serves all components. Subtracting a common center first reduces cancellation.
        center = self.means.mean(0)
        shift = torch.einsum("ki,kij->kj", self.means - center, self.factors)
        return center, self.factors.transpose(0, 1).flatten(1), shift

    def _log_parts(
        self, x: Float[Tensor, "n size"], columns: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Float[Tensor, "n K size"], Float[Tensor, "n K"]]:
        """Return Fₖᵀ(x − mₖ) and log wₖ N(x; mₖ, Cₖ)."""
        center, factors, shift = columns
        z = ((x - center) @ factors).view(-1, *self.means.shape) - shift
        return z, self.log_scales - 0.5 * torch.linalg.vecdot(z, z)

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        """Return the log density."""
        return -self(x)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]:
        """Return independent draws."""
        size = self.means.shape[1]
        weights = (self.log_scales - log_determinants(self.factors)).softmax(0)
        k = torch.multinomial(weights, n, replacement=True, generator=rng)
        noise = torch.randn(n, size, 1, generator=rng, dtype=self.means.dtype, device=self.means.device)
        # Cₖ = Fₖ⁻ᵀFₖ⁻¹, so that Fₖ⁻ᵀ times standard normal noise has covariance Cₖ.
        return self.means[k] + torch.linalg.solve_triangular(self.factors[k].mT, noise, upper=False).squeeze(2)


def log_determinants(factors: Float[Tensor, "K size size"]) -> Float[Tensor, " K"]:
    """Return the log determinants of triangular matrices."""
    return factors.diagonal(dim1=1, dim2=2).log().sum(1)


def gaussian_base(components: int, event: tuple[int, ...], data: Data | None) -> Gaussians:
    """Return the mixture of `base_components` that a network's energy is added to, fitted to noised training rows.

    Raises InputError without data, and if its rows do not have the shape `event`.
    """
    if data is None:
        raise InputError(f"base_components={components} is fitted to data: choose data, or base_components=0")
    if tuple(data.event) != tuple(event):
        raise InputError(
            f"base_components={components} is fitted to data of shape {list(data.event)}, not {list(event)}"
        )
    return fitted_gaussians("base_components", components, data)


def fitted_gaussians(name: str, components: int, data: Data) -> Gaussians:
    """Return a mixture fitted to the noised training rows, flattened.

    name: the key that InputError names if there are too few rows for the components.
    """
    rows = noisy_available_rows(data, 0).x[:MAX_ROWS].flatten(1).double().cpu().numpy()
    if len(rows) <= components:
        raise InputError(f"{name} must be < the {len(rows)} training rows, got {components}")
    found = expectation_maximization(rows, components, RIDGE * float(rows.var(0).mean()), 0)
    factors = found.precisions_cholesky_
    log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
    log_scales = np.log(found.weights_) + log_dets - 0.5 * rows.shape[1] * np.log(2 * np.pi)
    numbers = {"means": found.means_, "factors": factors, "log_scales": log_scales}
    return Gaussians({key: torch.as_tensor(v, dtype=torch.get_default_dtype()) for key, v in numbers.items()})


def mix(narrow: Gaussians, wide: Gaussians, fraction: float) -> Gaussians:
    """Return (1 − fraction)·narrow + fraction·wide."""
    numbers = {name: torch.cat([value, wide.get_buffer(name)]) for name, value in narrow.named_buffers()}
    numbers["log_scales"] = torch.cat(
        [narrow.log_scales + math.log(1 - fraction), wide.log_scales + math.log(fraction)]
    )
    return Gaussians(numbers)


def widen(gaussians: Gaussians, factor: float) -> Gaussians:
    """Return the mixture with standard deviations `factor` times as large."""
    log_scales = gaussians.log_scales - gaussians.means.shape[1] * math.log(factor)
    return Gaussians({"means": gaussians.means, "factors": gaussians.factors / factor, "log_scales": log_scales})
