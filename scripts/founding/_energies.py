"""Energies used by the claims, written as a user would write them: arbitrary functions of a state."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Kinked(nn.Module):
    """E(x) = |x| + sin 5x: no derivative at 0."""

    event = (1,)

    def forward(self, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        return (x.abs() + (5 * x).sin()).squeeze(1)


class Staircase(nn.Module):
    """E(x) = ⌊x²⌋: jumps, with slope 0 between them."""

    event = (1,)

    def forward(self, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        # The derivative of floor is 0; the term 0·x gives autograd a path to x.
        return (x.square().floor() + 0 * x).squeeze(1)


class Walled(nn.Module):
    """E(x) = 2(x² − 1)² + 0.3x on [−wall, wall], infinite outside: a bounded space."""

    event = (1,)

    def __init__(self, wall: float) -> None:
        super().__init__()
        self.wall = wall

    def forward(self, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        return self.energy_and_grad(x)[0]

    def energy_and_grad(self, x: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 1"]]:
        inside = x.abs() <= self.wall
        e = torch.where(inside, 2 * (x.square() - 1).square() + 0.3 * x, math.inf)
        return e.squeeze(1), torch.where(inside, 8 * x * (x.square() - 1) + 0.3, 0.0)


class SkewedQuartic(nn.Module):
    """E(x) = θ₁x + θ₂x² + θ₃x³ + 0.0029x⁴, with one valley initially."""

    event = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.0, 0.3, 0.0]))

    def forward(self, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        powers = torch.cat([x, x.square(), x**3], 1)
        return powers @ self.theta + 0.0029 * x.squeeze(1) ** 4


class Bumps(nn.Module):
    """E(x) = x²/4 + Σᵢ θᵢ exp(−(x − cᵢ)²/(2·0.3²)), with 41 centers on [−4, 4]: θᵢ raises E near cᵢ."""

    event = (1,)
    centres: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(-4, 4, 41))
        self.theta = nn.Parameter(torch.zeros(41))

    def features(self, x: Float[Tensor, "n 1"]) -> Float[Tensor, "n 41"]:
        """Return ∂E/∂θ."""
        return (-((x - self.centres) / 0.3).square() / 2).exp()

    def forward(self, x: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        return x.square().squeeze(1) / 4 + self.features(x) @ self.theta


class Quartic(nn.Module):
    """E(x) = Σᵢ aᵢxᵢ⁴, with independent coordinates and one parameter per coordinate.

    Zᵢ(T) = 2Γ(5/4)(T/aᵢ)^¼. On N(0, 1) the optimum at T = 1 is 1/(4⟨x⁴⟩) = 1/12 for maximum likelihood and
    12⟨x²⟩/(16⟨x⁶⟩) = 1/20 for score matching.
    """

    def __init__(self, a: float, event: tuple[int, ...]) -> None:
        super().__init__()
        self.event = event
        self.a = nn.Parameter(torch.full(event, a))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return (self.a * x.square().square()).sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        return self(x), 4 * self.a * x**3

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        a = self.a.double()
        return a.numel() * math.log(2 * math.gamma(1.25)) + 0.25 * (temperature / a).log().sum()

    def log_z(self, temperature: float) -> float:
        return float(self.log_partition(temperature).detach())
