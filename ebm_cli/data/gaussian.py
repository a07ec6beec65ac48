"""A Gaussian: the set on which every objective's optimum is known."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream
from ebm_cli.rng import normal_like


class Gaussian(Stream):
    """x ~ N(mean, std²I) in `dim` dimensions.

    dim: ≥ 1. mean: one number for all coordinates. std: > 0. n: rows, or null for fresh draws. seed: of the rows.
    """

    def __init__(self, dim: int, mean: float, std: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.count("dim", dim)
        check.number("mean", mean)
        check.positive("std", std)
        self.event = (dim,)
        self.noise = 0.0
        self.mean = mean
        self.std = std

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        x = torch.empty(n, *self.event, device=rng.device)
        return Batch(self.mean + self.std * normal_like(x, rng))

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        z = (x - self.mean) / self.std
        return -0.5 * z.square().sum(1) - x.shape[1] * (math.log(self.std) + 0.5 * math.log(2 * math.pi))
