"""Angles of a chain molecule: the smallest set of periodic states with several modes."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import Batch, _von_mises
from ebm_cli.data._synthetic import SyntheticData

# Weight, mean directions and concentrations of each component, like the pairs (φ, ψ) of the bonds of a protein's
# backbone: right-handed helices, sheets, polyproline helices and left-handed helices.
WEIGHTS = (0.45, 0.25, 0.2, 0.1)
MEANS = ((-1.1, -0.75), (-2.5, 2.9), (-1.2, 2.5), (1.0, 0.7))
CONCENTRATIONS = ((25.0, 20.0), (8.0, 10.0), (30.0, 20.0), (25.0, 15.0))


class Angles(SyntheticData):
    """Two angles in [−π, π), p(x) = Σₖ wₖ Πᵢ exp(κₖᵢ cos(xᵢ − mₖᵢ))/(2π I₀(κₖᵢ)), four components; labels are k.

    Mixtures of von Mises distributions describe pairs of dihedral angles of proteins (Singh, Hnizdo and Demchuk, 2002,
    Biometrika 89, 719). One component lies across the cut at ±π, and one holds a tenth of the mass.

    n: number of training samples, or None for new samples at every draw.
    seed: seed of the samples.
    """

    space = "periodic"
    noise = 0.0

    def __init__(self, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        self.event = (2,)

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        weights, means, κ = components(torch.empty((), device=rng.device))
        y = torch.multinomial(weights, n, replacement=True, generator=rng)
        return Batch(_von_mises.draw(means[y], κ[y], rng), y=y)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        weights, means, κ = components(x)
        each = κ * (x[:, None] - means).cos() - _von_mises.log_normalizer(κ)
        return (weights.log() + each.sum(2)).logsumexp(1)


def components(like: Tensor) -> tuple[Float[Tensor, " k"], Float[Tensor, "k 2"], Float[Tensor, "k 2"]]:
    """Return weights, mean directions and concentrations of all components."""
    assert math.isclose(sum(WEIGHTS), 1.0)
    weights, means, concentrations = (like.new_tensor(each) for each in (WEIGHTS, MEANS, CONCENTRATIONS))
    return weights, means, concentrations
