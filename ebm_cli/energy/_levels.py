"""Noise levels: energies that are told one, and the laws that lead from each level down to the one below."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError


def check_levels(sigma: Any) -> None:
    """Raise InputError unless sigma is a number > 0 or a list of such."""
    levels = sigma if isinstance(sigma, list) else [sigma]
    if not levels:
        raise InputError("sigma must be a number > 0, or a list of them, got []")
    for level in levels:
        check.positive("sigma", level)


def check_rising(sigma: Any) -> None:
    """Raise InputError unless sigma is a list of numbers > 0, each larger than the one before."""
    if not isinstance(sigma, list):
        raise InputError(f"sigma must be a list of rising levels > 0, such as [1.0, 4.0], got {sigma!r}")
    check_levels(sigma)
    if any(low >= high for low, high in pairwise(sigma)):
        raise InputError(f"sigma must rise from level to level, got {sigma}")


def told(energy: nn.Module, name: str, such_as: float) -> float:
    """The noise level that `energy` is of where it is told none; InputError for one that is never told any.

    name: of the levels that it is to be told. such_as: a level of its own that would go with them.
    """
    own = getattr(energy, "noise_level", None)
    if own is None:
        raise InputError(f"{name} needs an energy that is told noise levels: energy=mlp energy.noise_level={such_as:g}")
    return own


class Recovery(nn.Module):
    """U(z) = E(x, ν) + T‖x − x̃‖²/(2δ²), x = x̃ + rz, so that exp(−U/T) is the law of x given x̃ = x + δξ.

    The prior is exp(−E/T)/Z, the likelihood N(x̃; x, δ²I), and its normaliser is known to be a number a row. ν, δ, r:
    one a row. Samplers that stack copies of the rows, one after another, are given them all.
    """

    def __init__(
        self,
        energy: nn.Module,
        noised: Float[Tensor, "n *event"],
        ν: Float[Tensor, " n"],
        δ: Float[Tensor, " n"],
        r: Float[Tensor, " n"],
        T: float,
    ) -> None:
        super().__init__()
        self.energy = energy
        self.noised, self.ν, self.precision, self.T = noised, ν, T / δ**2, T
        self.r = r.view(-1, *[1] * (noised.dim() - 1))

    def forward(self, z: Float[Tensor, "m *event"]) -> Float[Tensor, " m"]:
        copies = len(z) // len(self.noised)
        away = _copied(self.r, copies) * z
        e = self.energy(_copied(self.noised, copies) + away, condition=_copied(self.ν, copies))
        return e + 0.5 * _copied(self.precision, copies) * away.flatten(1).square().sum(1)

    def into(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """z of x."""
        return (x - self.noised) / self.r

    def out(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """x of z."""
        return self.noised + self.r * z


def _copied(rows: Tensor, copies: int) -> Tensor:
    return rows if copies == 1 else rows.repeat(copies, *[1] * (rows.dim() - 1))


@dataclass(frozen=True)
class Ladder:
    """Levels 0 = σ_0 < σ_1 < … < σ_K of noise on top of the data's law: x_{t+1} = x_t + δ_t ξ, δ_t² = σ_{t+1}² − σ_t².

    The energy of x_t, t < K, is told ν_t = σ_t, and at the data's own level ν_0 = own. Chains of level t move in units
    of r_t = √(1/(1/ν_t² + 1/δ_t²))/own: a law that carries noise ν_t bends no more than 1/ν_t² anywhere (Tweedie's
    formula), so one step size, in the units of the data's own level, suits all (the scaling of Song and Ermon, 2019,
    arXiv 1907.05600, algorithm 1).

    sigma: σ_1 … σ_K, rising. own: ν_0 > 0, less than σ_1: the scale of the data's finest detail.
    """

    sigma: list[float]
    own: float

    @staticmethod
    def of(energy: nn.Module, sigma: list[float], name: str) -> "Ladder":
        """The levels of an energy; InputError, under this name, for one that is not told any."""
        check_rising(sigma)
        return Ladder(sigma, told(energy, name, sigma[0] / 10))

    def __post_init__(self) -> None:
        if not self.own < self.sigma[0]:
            raise InputError(
                f"energy.noise_level must be < the first level of sigma, {self.sigma[0]:g}, got {self.own:g}"
            )

    @property
    def rungs(self) -> int:
        """K, the number of laws that lead from a level to the one below."""
        return len(self.sigma)

    @cached_property
    def numbers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """σ, ν, δ and r of t = 0 … K − 1, in double precision."""
        top = torch.tensor(self.sigma, dtype=torch.float64, device="cpu")
        σ = torch.cat([top.new_zeros(1), top[:-1]])
        ν = torch.cat([top.new_tensor([self.own]), top[:-1]])
        δ = (top**2 - σ**2).sqrt()
        return σ, ν, δ, (1 / (1 / ν**2 + 1 / δ**2)).sqrt() / self.own

    def of_rows(self, t: Int[Tensor, " n"], like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """σ, ν, δ and r a row, of like's type and device."""
        σ, ν, δ, r = (each.to(like)[t] for each in self.numbers)
        return σ, ν, δ, r

    def recovery(
        self, energy: nn.Module, noised: Float[Tensor, "n *event"], t: Int[Tensor, " n"], T: float
    ) -> Recovery:
        """The law of rows at levels t, given each noised by one level more."""
        _, ν, δ, r = self.of_rows(t, noised)
        return Recovery(energy, noised, ν, δ, r, T)
