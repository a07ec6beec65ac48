"""Where paths begin: laws with a known density and exact draws."""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.network import Gaussians, fitted_mixture

# Numbers of Gaussians that are tried, the share of the rows they are compared on, and the most rows used.
COMPONENTS = (1, 2, 4, 8, 16, 32)
VALIDATION, ROWS = 0.2, 4000
# Of rows a Gaussian must have, in dimensions; and in any case.
ENOUGH, FEWEST = 0.5, 4


@runtime_checkable
class Base(Protocol):
    """U₀(z) = −log of a normalised density, with exact draws. said: what it is, in words."""

    said: str

    def energy_and_grad(self, z: Float[Tensor, "n d"], /) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]: ...

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]: ...


class Normal(nn.Module):
    """U₀ = ½‖z‖² + d/2·log 2π. like: a vector of the d coordinates' type and device."""

    like: Tensor

    def __init__(self, like: Float[Tensor, " d"]) -> None:
        super().__init__()
        self.said = "a Gaussian"
        self.register_buffer("like", like, persistent=False)

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        return 0.5 * z.square().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi), z

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        shape = (n, len(self.like))
        return torch.randn(shape, generator=rng, dtype=self.like.dtype, device=self.like.device)


class Mixture(Gaussians):
    """U₀ = −log Σₖ wₖ N(z; mₖ, Cₖ), fitted to rows; as many Gaussians as a part of the rows left out likes best."""

    def __init__(self, rows: Float[Tensor, "n d"], wider: float) -> None:
        z = rows.double().cpu().numpy()
        z = np.random.default_rng(0).permutation(z)[:ROWS]
        cut = int(VALIDATION * len(z))
        most = max(1.0, min(len(z) / (ENOUGH * z.shape[1]), (len(z) - cut) / FEWEST))
        tried = {k: score(z[cut:], z[:cut], k) for k in COMPONENTS if k <= most}
        best = max(tried, key=lambda k: tried[k])
        fitted = fitted_mixture(z, best)
        # Draws must cover the model, whose modes may be wider than the rows' own.
        fitted["factors"] /= wider
        fitted["log_scales"] -= z.shape[1] * math.log(wider)
        super().__init__({name: torch.as_tensor(value).to(rows) for name, value in fitted.items()})
        self.said = f"a mixture of {best} Gaussians" if best > 1 else "a Gaussian"


def score(train: Float[np.ndarray, "n d"], held_out: Float[np.ndarray, "m d"], components: int) -> float:
    """Mean log density of rows left out, under a mixture fitted to the others."""
    gaussians = Gaussians({k: torch.as_tensor(v) for k, v in fitted_mixture(train, components).items()})
    return -float(gaussians(torch.as_tensor(held_out)).mean())


class Box(nn.Module):
    """U₀ = d·log 2 on (−1, 1)^d, ∞ outside."""

    like: Tensor

    def __init__(self, like: Float[Tensor, " d"]) -> None:
        super().__init__()
        self.said = "the uniform law on a box"
        self.register_buffer("like", like, persistent=False)

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        inside = z.abs().amax(1) < 1
        level = torch.full_like(z[:, 0], z.shape[1] * math.log(2))
        return torch.where(inside, level, math.inf), torch.zeros_like(z)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        shape = (n, len(self.like))
        return 2 * torch.rand(shape, generator=rng, dtype=self.like.dtype, device=self.like.device) - 1
