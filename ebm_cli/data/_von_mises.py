"""The von Mises distribution of an angle, p(x) = exp(κ cos(x − μ))/(2π I₀(κ)): its normalizer and exact draws."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data._angles import PERIOD, wrap

# Below this κ, proposals are uniform. Those of Best and Fisher are not defined at κ = 0.
MIN_CONCENTRATION = 1.0


def log_normalizer(kappa: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return log 2π I₀(κ) for κ ≥ 0."""
    return math.log(PERIOD) + torch.special.i0e(kappa).log() + kappa


def draw(
    mean: Float[Tensor, "*shape"], kappa: Float[Tensor, "*shape"], rng: torch.Generator
) -> Float[Tensor, "*shape"]:
    """Return a draw in [−π, π) for each mean direction μ and concentration κ ≥ 0.

    By rejection from uniform angles for κ < 1, otherwise from a wrapped Cauchy distribution (Best and Fisher, 1979,
    Applied Statistics 28, 152). Two of five proposals or more are accepted for every κ. In double precision.
    """
    κ = kappa.double().flatten()
    x, left = torch.zeros_like(κ), torch.arange(len(κ), device=κ.device)
    while len(left):
        proposed, accepted = propose(κ[left], rng)
        x[left[accepted]] = proposed[accepted]
        left = left[~accepted]
    return wrap((mean.double() + x.view(kappa.shape)).to(mean.dtype))


def propose(κ: Float[Tensor, " n"], rng: torch.Generator) -> tuple[Float[Tensor, " n"], Tensor]:
    """Return an angle for each κ, around 0, and whether it is accepted."""
    u, v, side = torch.rand(3, len(κ), generator=rng, dtype=κ.dtype, device=κ.device)
    is_narrow, above = κ >= MIN_CONCENTRATION, κ.clamp(min=MIN_CONCENTRATION)
    τ = 1 + (1 + 4 * above**2).sqrt()
    ρ = (τ - (2 * τ).sqrt()) / (2 * above)
    r = (1 + ρ**2) / (2 * ρ)
    z = (math.pi * u).cos()
    cosine = torch.where(is_narrow, ((1 + r * z) / (r + z)).clamp(-1, 1), z)
    c = above * (r - cosine)
    accepted = torch.where(is_narrow, (c / v).log() + 1 - c >= 0, v <= (κ * (cosine - 1)).exp())
    return torch.where(side < 0.5, -1.0, 1.0) * cosine.acos(), accepted
