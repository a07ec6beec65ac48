"""Where paths begin: laws with a known density and exact draws."""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.data._rows import split_rows
from ebm_cli.density import mixture
from ebm_cli.density.fit_data import VALIDATION, Material
from ebm_cli.density.normals import Normals
from ebm_cli.energy._network import Gaussians
from ebm_cli.partition.whitened import Whitened


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
    """U₀ = −log Σₖ wₖ N(z; mₖ, Cₖ), the baseline of this name fitted to what is known of the model's law.

    rows: states to which noise σ is still to be added. wider: than these each Gaussian is, as the model's modes may be
    wider than the rows' own and draws must cover them.
    """

    def __init__(self, space: Whitened, rows: Float[Tensor, "n *event"], noise: float, wider: float) -> None:
        flat = rows.flatten(1).double().cpu()
        fit, check = (torch.as_tensor(part) for part in split_rows(len(flat), VALIDATION, 0))
        found = mixture.fit(Material(flat[fit], flat[check], noise, 0))
        assert isinstance(found, Normals)
        root, middle = space.root.double().cpu(), space.middle.double().cpu()
        roots = wider * torch.linalg.solve_triangular(root, found.roots, upper=False)
        # Cₖ = RₖRₖᵀ and FₖFₖᵀ = Cₖ⁻¹, so that Fₖ = Rₖ⁻ᵀ.
        factors = torch.linalg.inv(roots).mT
        log_dets = factors.diagonal(dim1=1, dim2=2).log().sum(1)
        numbers = {
            "means": torch.linalg.solve_triangular(root, (found.means - middle).T, upper=False).T,
            "factors": factors,
            "log_scales": found.log_weights + log_dets - 0.5 * flat.shape[1] * math.log(2 * math.pi),
        }
        super().__init__({name: value.to(space.middle).contiguous() for name, value in numbers.items()})
        count = len(found.log_weights)
        self.said = f"a mixture of {count} Gaussians" if count > 1 else "a Gaussian"


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
