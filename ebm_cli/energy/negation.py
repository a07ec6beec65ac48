"""Negation: states that one trained run finds likely and another does not."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy import device_of, energy_and_grad, frozen
from ebm_cli.energy._composition import Part, common_event, temperatures_of

# Radii, in units of x, over which the energy must rise; rays that are drawn; steps by which each seeks a lower place.
NEAR, FAR = 100.0, 1000.0
RAYS, STEPS, TURN, SHRINK = 256, 40, 0.5, 0.9


class Negation(nn.Module):
    """E(x) = E_A(x)/T_A − α E_B(x)/T_B + confinement/2·‖x‖², so that at T = 1 p ∝ p_A/p_B^α · exp(−confinement/2·‖x‖²).

    Du, Li and Mordatch, 2020 (arXiv 2004.06030), eq. 8. Z is infinite where E does not grow: with quadratic tails of
    curvature c the sum c_A/T_A − α c_B/T_B + confinement must be > 0. Refused at construction where E fails to rise by
    more than d·log(R/r) from r = 100 or 500 to R = 1,000, as exp(−E) must fall faster than r^{−d}: tried along every
    axis and along 256 rays, each turned to where E at R is lowest nearby. That finds what is improper in some
    direction; no finite check proves that there is none.

    runs: two of one event shape, A and B. alpha: in (0, 1). temperatures: T_A, T_B > 0; None for those at which the
    runs were trained. confinement: ≥ 0, added.
    """

    def __init__(self, runs: list[Part], alpha: float, temperatures: list[float] | None, confinement: float) -> None:
        super().__init__()
        check.number("alpha", alpha)
        if not 0 < alpha < 1:
            raise InputError(f"alpha must be in (0, 1), got {alpha}")
        check.non_negative("confinement", confinement)
        self.event = common_event(runs)
        if len(runs) != 2:
            raise InputError(f"runs must name two runs, the second is negated, got {len(runs)}")
        first, second = temperatures_of(runs, temperatures)
        self.parts = nn.ModuleList(part.energy for part in runs)
        self.scales = [1 / first, -alpha / second]
        self.confinement = confinement
        refuse_improper(self, self.event)
        self.notes = [
            f"negation: {runs[0].name} at T = {first:g} over {runs[1].name} at T = {second:g} to the power {alpha:g}; "
            f"the energy rises out to {FAR:g} in every direction that was tried"
        ]

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        a, b = (scale * part(x) for scale, part in zip(self.scales, self.parts, strict=True))
        return a + b + 0.5 * self.confinement * x.flatten(1).square().sum(1)


def refuse_improper(energy: nn.Module, event: tuple[int, ...]) -> None:
    """Raise InputError unless E rises by more than d·log(R/r) along every ray that is tried."""
    d = math.prod(event)
    with frozen(energy):
        u = lowest_rays(energy, event)
        with torch.no_grad():
            far = energy(FAR * u)
            for r in (NEAR, FAR / 2):
                rise = far - energy(r * u)
                # A rise that is not a number is none.
                improper = int((~(rise > d * math.log(FAR / r))).sum())
                if improper:
                    raise InputError(
                        f"runs make no density: along {improper} of {len(u)} rays the energy does not rise enough from "
                        f"{r:g} to {FAR:g} (least {float(rise.min()):.3g}, needed {d * math.log(FAR / r):.3g}); lower "
                        "alpha or raise confinement"
                    )


def lowest_rays(energy: nn.Module, event: tuple[int, ...]) -> Float[Tensor, "rays *event"]:
    """Unit vectors along and against every axis, and random ones that went down E(R·u) on the sphere."""
    here, d = device_of(energy), math.prod(event)
    dtype = torch.get_default_dtype()
    drawn = torch.randn(RAYS, d, generator=torch.Generator("cpu").manual_seed(0), dtype=dtype, device="cpu")
    axes = torch.eye(d, dtype=dtype, device="cpu")
    axes = torch.cat([axes, -axes]).to(here)
    u = nn.functional.normalize(drawn.to(here))
    for step in range(STEPS):
        _, grad = energy_and_grad(energy, (FAR * u).view(-1, *event))
        grad = grad.flatten(1)
        along = nn.functional.normalize(grad - (grad * u).sum(1, keepdim=True) * u)
        u = nn.functional.normalize(u - TURN * SHRINK**step * along)
    return torch.cat([axes, u]).view(-1, *event)
