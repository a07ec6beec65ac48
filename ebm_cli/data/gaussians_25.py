"""Twenty-five Gaussians on a grid: many modes, each as far from its neighbours as any other."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream, log_mixture
from ebm_cli.rng import normal_like

SIDE = 5


class Gaussians25(Stream):
    """Equal parts N(mₖ, noise²I), mₖ = (⌊k/5⌋ − 2, k mod 5 − 2); labels are k.

    noise: standard deviation of each part > 0; the modes merge near 0.5. n: rows, or null for fresh draws.
    seed: of the rows.
    """

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.positive("noise", noise)
        self.event = (2,)
        self.noise = noise

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        k = torch.randint(SIDE**2, (n,), generator=rng, device=rng.device)
        mean = self._mean(k)
        return Batch(mean + self.noise * normal_like(mean, rng), clean=mean, y=k)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        mean = self._mean(torch.arange(SIDE**2, device=x.device))
        log_weights = torch.full_like(mean[:, 0], -math.log(SIDE**2))
        return log_mixture(x, mean, log_weights, self.noise)

    @staticmethod
    def _mean(k: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        cell = torch.stack([k // SIDE, k % SIDE], 1)
        return cell.to(torch.get_default_dtype()) - SIDE // 2
