"""Base distributions, at which paths start: normalized densities with exact draws."""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy._gaussians import Gaussians, log_determinants
from ebm_cli.path._coordinates import WhitenedEnergy


@runtime_checkable
class BaseDistribution(Protocol):
    """U₀(z) = −log of a normalized density with exact draws. description: names the density in messages."""

    description: str

    def energy_and_grad(self, z: Float[Tensor, "n *d"], /) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]: ...

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *d"]: ...


@runtime_checkable
class IndependentSites(Protocol):
    """A base of discrete states whose sites are independent."""

    def site_logits(self, sites: Int[Tensor, " m"]) -> Float[Tensor, "m k"]:
        """Return the log probability of every value of each of these sites."""
        ...


class _Fixed(nn.Module):
    """A base without parameters. like: a vector with the dtype and device of the d coordinates."""

    like: Tensor

    def __init__(self, like: Float[Tensor, " d"]) -> None:
        super().__init__()
        self.register_buffer("like", like, persistent=False)


class NoBase:
    """U₀ = 0, which is not a density: U_β = βU is the model at temperature 1/β. It has no draws."""

    description = "the model at its highest temperature"

    def energy_and_grad(self, z: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        return z.new_zeros(len(z)), torch.zeros_like(z)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *d"]:  # noqa: ARG002
        raise check.InputError("the far end of path=hot has no exact draws. Type path=base")


class StandardNormal(_Fixed):
    """U₀ = ½‖z‖² + d/2·log 2π."""

    description = "a Gaussian"

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        return 0.5 * z.square().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi), z

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        return torch.randn((n, len(self.like)), generator=rng, dtype=self.like.dtype, device=self.like.device)


class UniformBox(_Fixed):
    """U₀ = d·log 2 on (−1, 1)^d and ∞ outside."""

    description = "a uniform distribution on a box"

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        level = torch.full_like(z[:, 0], z.shape[1] * math.log(2))
        return torch.where(z.abs().amax(1) < 1, level, math.inf), torch.zeros_like(z)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        return 2 * torch.rand((n, len(self.like)), generator=rng, dtype=self.like.dtype, device=self.like.device) - 1


class MixtureBase(Gaussians):
    """U₀ = −log Σₖ wₖ N(z; mₖ, Cₖ), a mixture given in x and expressed in the coordinates of a model.

    space: coordinates of z.
    log_weights: log wₖ.
    means: of x.
    roots: Cholesky factors of the covariances of x.
    wider: factor of all standard deviations (> 0). Draws must cover modes of the model that are wider than the mixture.
    """

    def __init__(
        self,
        space: WhitenedEnergy,
        log_weights: Float[Tensor, " k"],
        means: Float[Tensor, "k d"],
        roots: Float[Tensor, "k d d"],
        wider: float,
    ) -> None:
        scale, center = space.scale_matrix.double().cpu(), space.center.double().cpu()
        # Cₖ = RₖRₖᵀ and FₖFₖᵀ = Cₖ⁻¹, so that Fₖ = Rₖ⁻ᵀ.
        factors = torch.linalg.inv(wider * torch.linalg.solve_triangular(scale, roots, upper=False)).mT
        numbers = {
            "means": torch.linalg.solve_triangular(scale, (means - center).T, upper=False).T,
            "factors": factors,
            "log_scales": log_weights + log_determinants(factors) - 0.5 * means.shape[1] * math.log(2 * math.pi),
        }
        super().__init__({name: value.to(space.center).contiguous() for name, value in numbers.items()})
        count = len(log_weights)
        self.description = f"a mixture of {count} Gaussians" if count > 1 else "a Gaussian"
