"""Noise levels of noise-conditional energies, and the distributions that lead from each level to the next lower one."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError


def check_levels(sigma: Any, name: str = "sigma") -> None:
    """Raise InputError unless sigma is a number > 0 or a list of such numbers. name: of the key, for the message."""
    levels = sigma if isinstance(sigma, list) else [sigma]
    if not levels:
        raise InputError(f"{name} must be a number > 0, or a list of them, got []")
    for level in levels:
        check.positive(name, level)


def check_rising(sigma: Any, name: str = "sigma") -> None:
    """Raise InputError unless sigma is a rising list of numbers > 0. name: of the key, for the message."""
    if not isinstance(sigma, list):
        raise InputError(f"{name} must be a list of rising levels > 0, such as [1.0, 4.0], got {sigma!r}")
    check_levels(sigma, name)
    if any(low >= high for low, high in pairwise(sigma)):
        raise InputError(f"{name} must rise from level to level, got {sigma}")


def require_noise_level(energy: nn.Module, name: str, example: float) -> float:
    """Return the default noise level of `energy`; raise InputError if it is not noise-conditional.

    name: name of the part that needs the levels, for the message.
    example: a suitable default level, for the message.
    """
    own = getattr(energy, "noise_level", None)
    if own is None:
        raise InputError(f"{name} needs a noise-conditional energy, such as energy=mlp energy.noise_level={example:g}")
    return own


class Recovery(nn.Module):
    """U(z) = E(x, ν) + T‖x − x̃‖²/(2δ²) with x = x̃ + rz. exp(−U/T) is the density of x given x̃ = x + δξ.

    The prior is exp(−E/T)/Z and the likelihood is N(x̃; x, δ²I), with a known normalizer per row. Samplers that stack
    copies of the rows evaluate all copies at once.

    noised: x̃.
    ν, δ, r: one per row (> 0).
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
        shift = _repeated(self.r, copies) * z
        e = self.energy(_repeated(self.noised, copies) + shift, condition=_repeated(self.ν, copies))
        return e + 0.5 * _repeated(self.precision, copies) * shift.flatten(1).square().sum(1)

    def coordinates(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return z of x."""
        return (x - self.noised) / self.r

    def states(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return x of z."""
        return self.noised + self.r * z


def _repeated(rows: Tensor, copies: int) -> Tensor:
    return rows if copies == 1 else rows.repeat(copies, *[1] * (rows.dim() - 1))


@dataclass(frozen=True)
class NoiseSchedule:
    """Levels 0 = σ_0 < σ_1 < … < σ_K of noise added to data: x_{t+1} = x_t + δ_t ξ, δ_t² = σ_{t+1}² − σ_t².

    The condition of the energy of x_t, t < K, is ν_t = σ_t, and at the data's own level ν_0 = own. Chains of level t
    move in units of r_t = √(1/(1/ν_t² + 1/δ_t²))/own. A density with noise ν_t has curvatures of at most 1/ν_t²
    (Tweedie's formula), so one step size, in the units of the data's own level, suits all levels (the scaling of Song
    and Ermon, 2019, arXiv 1907.05600, algorithm 1).

    sigma: σ_1 … σ_K, rising (> 0).
    own: ν_0, the scale of the data's finest detail (in (0, σ_1)).
    """

    sigma: list[float]
    own: float

    @staticmethod
    def from_energy(energy: nn.Module, sigma: list[float], name: str) -> "NoiseSchedule":
        """Return the levels of an energy; raise InputError if it is not noise-conditional.

        name: name of the part that needs the levels, for the message.
        """
        check_rising(sigma)
        return NoiseSchedule(sigma, require_noise_level(energy, name, sigma[0] / 10))

    def __post_init__(self) -> None:
        if not self.own < self.sigma[0]:
            raise InputError(
                f"energy.noise_level must be < the first level of sigma, {self.sigma[0]:g}, got {self.own:g}"
            )

    @property
    def n_levels(self) -> int:
        """Return K, the number of distributions that lead from a level to the next lower level."""
        return len(self.sigma)

    @cached_property
    def numbers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return σ, ν, δ and r of t = 0 … K − 1 in double precision."""
        upper = torch.tensor(self.sigma, dtype=torch.float64, device="cpu")
        σ = torch.cat([upper.new_zeros(1), upper[:-1]])
        ν = torch.cat([upper.new_tensor([self.own]), upper[:-1]])
        δ = (upper**2 - σ**2).sqrt()
        return σ, ν, δ, (1 / (1 / ν**2 + 1 / δ**2)).sqrt() / self.own

    def per_row(self, t: Int[Tensor, " n"], like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return σ, ν, δ and r per row, with the dtype and device of `like`."""
        σ, ν, δ, r = (each.to(like)[t] for each in self.numbers)
        return σ, ν, δ, r

    def recovery(
        self, energy: nn.Module, noised: Float[Tensor, "n *event"], t: Int[Tensor, " n"], T: float
    ) -> Recovery:
        """Return the energy of rows at levels t, given the same rows at the next higher level."""
        _, ν, δ, r = self.per_row(t, noised)
        return Recovery(energy, noised, ν, δ, r, T)
