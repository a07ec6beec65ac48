"""Eight Gaussians on a circle: the smallest test of whether modes are dropped."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream, log_mixture
from ebm_cli.rng import normal_like

RADIUS = 2.0


class Gaussians8(Stream):
    """Equal parts N(mₖ, noise²I), mₖ = 2·(cos kπ/4, sin kπ/4); labels are k.

    noise: standard deviation of each part > 0; the modes merge near 0.75. n: rows, or null for fresh draws.
    seed: of the rows.
    """

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.positive("noise", noise)
        self.event = (2,)
        self.noise = noise

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        k = torch.randint(8, (n,), generator=rng, device=rng.device)
        mean = self._mean(k)
        return Batch(mean + self.noise * normal_like(mean, rng), clean=mean, y=k)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        mean = self._mean(torch.arange(8, device=x.device))
        return log_mixture(x, mean, torch.full_like(mean[:, 0], -math.log(8)), self.noise)

    def _mean(self, k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        angle = k.to(torch.get_default_dtype()) * (math.pi / 4)
        return RADIUS * torch.stack([angle.cos(), angle.sin()], 1)
