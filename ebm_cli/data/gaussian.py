"""A Gaussian: the set for which the optimum of every objective is known."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._synthetic import SyntheticData
from ebm_cli.rng import normal_like


class Gaussian(SyntheticData):
    """x ~ N(mean, std²I) in `dim` dimensions.

    dim: number of coordinates (≥ 1).
    mean: mean of every coordinate.
    std: standard deviation (> 0).
    n: number of training samples, or None for new samples at every draw.
    seed: seed of the samples.
    """

    noise = 0.0

    def __init__(self, dim: int, mean: float, std: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.count("dim", dim)
        check.number("mean", mean)
        check.positive("std", std)
        self.event = (dim,)
        self.mean, self.std = mean, std

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        x = torch.empty(n, *self.event, device=rng.device)
        return Batch(self.mean + self.std * normal_like(x, rng))

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        z = (x - self.mean) / self.std
        return -0.5 * z.square().sum(1) - x.shape[1] * (math.log(self.std) + 0.5 * math.log(2 * math.pi))
