"""What energies made of a network share: the terms that confine them, and spectral normalisation of their layers."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_available_rows

FITTED_ROWS = 20_000
FLOOR = 1e-3


class Tail(nn.Module):
    """confinement/2·‖x‖² − log b(x), b(x) = Σₖ wₖ N(x; mₖ, Cₖ): what is beside the network in an energy.

    A network with bounded slope grows at most linearly, so that Z(T) is finite for every T > 0 as soon as
    confinement > 0 or base ≥ 1. b is fitted once to the noised training rows by expectation maximisation (scikit-learn;
    with one component the maximum-likelihood Gaussian); each Cₖ has a thousandth of the mean variance on its diagonal.
    It is no part of what is trained afterwards: the network learns what b lacks.

    confinement: ≥ 0. base: components ≥ 0, 0 for no base; more need data.
    """

    def __init__(self, confinement: float, base: int, event: tuple[int, ...], data: Data | None) -> None:
        super().__init__()
        check.non_negative("confinement", confinement)
        check.count("base", base, least=0)
        self.confinement = confinement
        self.base = gaussian_base(base, event, data) if base else None

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        x = x.flatten(1)
        e = 0.5 * self.confinement * x.square().sum(1)
        return e if self.base is None else e + self.base(x)


class Gaussians(nn.Module):
    """−log Σₖ wₖ N(x; mₖ, Cₖ), its numbers as `fitted_mixture` gives them: buffers, saved with the weights."""

    means: Tensor
    factors: Tensor
    log_scales: Tensor

    def __init__(self, numbers: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in numbers.items():
            self.register_buffer(name, value)

    def forward(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        return -torch.logsumexp(self._log_parts(x)[1], dim=1)

    def energy_and_grad(self, x: Float[Tensor, "n size"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n size"]]:
        z, log_parts = self._log_parts(x)
        weighted = log_parts.softmax(1)[:, :, None] * z
        return -log_parts.logsumexp(1), weighted.flatten(1) @ self.factors.transpose(1, 2).flatten(0, 1)

    def _log_parts(self, x: Float[Tensor, "n size"]) -> tuple[Float[Tensor, "n K size"], Float[Tensor, "n K"]]:
        """Fₖᵀ(x − mₖ) and log wₖ N(x; mₖ, Cₖ)."""
        # One product for all parts, about a middle so that little cancels.
        K, size = self.means.shape
        middle = self.means.mean(0)
        shift = torch.einsum("ki,kij->kj", self.means - middle, self.factors)
        z = ((x - middle) @ self.factors.transpose(0, 1).reshape(size, -1)).view(-1, K, size) - shift
        return z, self.log_scales - 0.5 * z.square().sum(2)

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        """The log density itself."""
        return -self(x)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]:
        """Independent draws."""
        size = self.means.shape[1]
        log_dets = self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        weights = (self.log_scales - log_dets).softmax(0)
        k = torch.multinomial(weights, n, replacement=True, generator=rng)
        noise = torch.randn(n, size, 1, generator=rng, dtype=self.means.dtype, device=self.means.device)
        # C = F⁻ᵀF⁻¹, F upper triangular.
        return self.means[k] + torch.linalg.solve_triangular(self.factors[k].mT, noise, upper=False).squeeze(2)


def gaussian_base(components: int, event: tuple[int, ...], data: Data | None) -> Gaussians:
    """A mixture fitted to the noised training rows; InputError without rows of this shape, more than components."""
    if data is None:
        raise InputError(f"base={components} is fitted to data: choose data, or base=0")
    if tuple(data.event) != tuple(event):
        raise InputError(f"base={components} is fitted to data of shape {list(data.event)}, not {list(event)}")
    return fitted_gaussians("base", components, data)


def fitted_gaussians(name: str, components: int, data: Data) -> Gaussians:
    """A mixture fitted to the noised training rows, flattened; InputError, under this name, with too few of them."""
    rows = noisy_available_rows(data, 0).x[:FITTED_ROWS].flatten(1).double().cpu().numpy()
    if len(rows) <= components:
        raise InputError(f"{name} must be < the {len(rows)} training rows, got {components}")
    dtype = torch.get_default_dtype()
    return Gaussians({key: torch.as_tensor(v, dtype=dtype) for key, v in fitted_mixture(rows, components).items()})


def with_share(narrow: Gaussians, wide: Gaussians, share: float, wider: float) -> Gaussians:
    """(1 − share)·narrow + share·wide, the latter's standard deviations `wider` times as large."""
    wide = widened(wide, wider)
    parts = {name: torch.cat([value, wide.get_buffer(name)]) for name, value in narrow.named_buffers()}
    parts["log_scales"] = torch.cat([narrow.log_scales + math.log(1 - share), wide.log_scales + math.log(share)])
    return Gaussians(parts)


def widened(gaussians: Gaussians, wider: float) -> Gaussians:
    """The same means and weights, standard deviations `wider` times as large."""
    log_scales = gaussians.log_scales - gaussians.means.shape[1] * math.log(wider)
    return Gaussians({"means": gaussians.means, "factors": gaussians.factors / wider, "log_scales": log_scales})


def fitted_mixture(rows: Float[np.ndarray, "n size"], components: int) -> dict[str, np.ndarray]:
    """Means, factors Fₖ with FₖFₖᵀ = Cₖ⁻¹, and log wₖ + log det Fₖ − size/2·log 2π of a mixture fitted to rows."""
    from sklearn.mixture import GaussianMixture

    ridge = FLOOR * float(rows.var(0).mean())
    mixture: Any = GaussianMixture(components, reg_covar=ridge, random_state=0).fit(rows)
    factors = mixture.precisions_cholesky_
    log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
    log_scales = np.log(mixture.weights_) + log_dets - 0.5 * rows.shape[1] * np.log(2 * np.pi)
    return {"means": mixture.means_, "factors": factors, "log_scales": log_scales}


def perceptron(size: int, width: int, depth: int, out: int, bias: bool = True) -> nn.Sequential:
    """`depth` hidden layers of `width` SiLU units, and a last one of `out` numbers; bias: whether that has one."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([size] + [width] * depth):
        layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width, out, bias=bias))


def spectrally_normalised(net: nn.Module, spectral_norm: float | None) -> float:
    """Divide every layer's weight by its largest singular value; the factor by which the outcome is to be multiplied.

    Miyato et al., 2018 (arXiv 1802.05957), by torch's power iteration, one round a training step. With SiLU, whose
    slope is at most 1.1, ‖∇f‖ ≤ spectral_norm·1.1^depth for fully connected layers; a convolution's weight counts as
    the matrix of its kernels, whose norm the operator exceeds by at most √(kernel height·kernel width).

    spectral_norm: > 0, or None to leave the layers as they are.
    """
    if spectral_norm is None:
        return 1.0
    check.positive("spectral_norm", spectral_norm)
    layers = [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers:
        parametrizations.spectral_norm(layer)
    return spectral_norm
