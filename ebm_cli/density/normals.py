"""Densities in closed form, over flattened rows in double precision."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.rng import normal_like

LOG_2PI = math.log(2 * math.pi)


@runtime_checkable
class Density(Protocol):
    """log p(x) in nats of rows x. words: describes the density and the sizes that were chosen."""

    @property
    def words(self) -> str: ...

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]: ...


@dataclass(frozen=True)
class NormalMixture:
    """log Σₖ wₖ N(x; mₖ, RₖRₖᵀ), Rₖ lower triangular."""

    words: str
    log_weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    roots: Float[Tensor, "k d d"]

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        log_dets = self.roots.diagonal(dim1=1, dim2=2).log().sum(1)
        parts = [
            log_weight - log_det - 0.5 * torch.linalg.solve_triangular(root, (x - mean).T, upper=False).square().sum(0)
            for log_weight, log_det, mean, root in zip(self.log_weights, log_dets, self.means, self.roots, strict=True)
        ]
        return torch.stack(parts).logsumexp(0) - 0.5 * x.shape[1] * LOG_2PI

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Return n independent draws."""
        k = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=rng)
        ξ = normal_like(self.means.new_empty(n, self.means.shape[1]), rng)
        return self.means[k] + (self.roots[k] @ ξ[:, :, None])[:, :, 0]


@dataclass(frozen=True)
class PrincipalDensity:
    """p(x) = q(z) Πⱼ N(yⱼ; 0, sⱼ²).

    z are the leading principal coordinates of x − m with any density q; the others, y, are independent normals.
    """

    words: str
    center: Float[Tensor, " d"]
    axes: Float[Tensor, "d d"]
    leading: Density
    std: Float[Tensor, " rest"]

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        turned = (x - self.center) @ self.axes
        z, y = turned[:, : -len(self.std)], turned[:, -len(self.std) :] / self.std
        rest = -0.5 * y.square().sum(1) - self.std.log().sum() - 0.5 * len(self.std) * LOG_2PI
        return self.leading.log_prob(z) + rest
