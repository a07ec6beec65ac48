"""Five bent arms: curved, of uneven width, and not connected."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._synthetic import SyntheticData
from ebm_cli.rng import normal_like

ARMS = 5
SCALE = 2.0
MAX_BEND_RADIUS = 10.0


class Pinwheel(SyntheticData):
    """x = 2 R(2πk/5 + rate·exp ‖z‖) z, z ~ N((1, 0), diag(radial², tangential²)), with five arms k; labels are k.

    R(a) rotates by the angle a. A rotation whose angle depends only on ‖z‖ preserves area. Therefore the density has a
    closed form: p(x) = ⅕ Σₖ N(zₖ; (1, 0), …)/4 with zₖ = R(−2πk/5 − rate·exp ‖x/2‖) x/2. Johnson et al. 2016 (arXiv
    1603.06277) rotate by exp z₁, without a closed form. Beyond ‖z‖ = 10 the angle is constant, because its changes
    could not be resolved.

    radial: standard deviation along an arm (> 0).
    tangential: standard deviation across an arm (> 0).
    rate: how fast the arms bend.
    n: number of training samples, or None for new samples at every draw.
    seed: seed of the samples.
    """

    event = (2,)
    noise = 0.0

    def __init__(self, radial: float, tangential: float, rate: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.positive("radial", radial)
        check.positive("tangential", tangential)
        check.number("rate", rate)
        self.radial, self.tangential, self.rate = radial, tangential, rate

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        k = torch.randint(ARMS, (n,), generator=rng, device=rng.device)
        e = normal_like(torch.empty(n, 2, device=rng.device), rng)
        z = torch.stack([1 + self.radial * e[:, 0], self.tangential * e[:, 1]], 1)
        return Batch(SCALE * rotate(z, 2 * math.pi / ARMS * k + self._bend(z)), y=k)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        z = rotate(x / SCALE, -self._bend(x / SCALE))
        arms = torch.stack([rotate(z, torch.full_like(z[:, 0], -2 * math.pi * k / ARMS)) for k in range(ARMS)], 1)
        square = ((arms[..., 0] - 1) / self.radial).square() + (arms[..., 1] / self.tangential).square()
        area = SCALE**2 * 2 * math.pi * self.radial * self.tangential
        return torch.logsumexp(-0.5 * square, 1) - math.log(ARMS * area)

    def _bend(self, z: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        return self.rate * z.norm(dim=1).clamp(max=MAX_BEND_RADIUS).exp()


def rotate(z: Float[Tensor, "n 2"], angle: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """Return R(angle) z."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * z[:, 0] - sin * z[:, 1], sin * z[:, 0] + cos * z[:, 1]], 1)
