"""Units h ∈ {0, 1} that are independent of each other, given the fields by which h = 1 lowers the energy."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus


def free_energy(fields: Float[Tensor, "*shape m"], offset: float, temperature: float) -> Float[Tensor, "*shape"]:
    """Return −T log Σ_h exp(cᵀ(h − λ)/T) = −Σⱼ [T log(1 + exp(cⱼ/T)) − λcⱼ] for fields c; its limit at T = 0."""
    summed = temperature * softplus(fields / temperature) if temperature > 0 else fields.relu()
    return -(summed - offset * fields).sum(-1)


def draw_units(fields: Float[Tensor, "*shape"], temperature: float, rng: torch.Generator) -> Float[Tensor, "*shape"]:
    """Return units that are 1 with probability σ(field/T)."""
    p = (fields / temperature).sigmoid()
    return (torch.rand(p.shape, generator=rng, dtype=p.dtype, device=p.device) < p).to(p.dtype)
