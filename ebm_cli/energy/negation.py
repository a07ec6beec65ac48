"""Negation: states that are likely under one trained run and unlikely under another."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy import device_of, energy_and_grad, frozen
from ebm_cli.energy._composition import TrainedComponent, common_event, common_space, temperatures_of

# Radii, in units of x, between which the energy must increase.
NEAR_RADIUS, FAR_RADIUS = 100.0, 1000.0
# Random rays, and the steps that turn each towards lower energy: their number, first size and decay.
N_RAYS, N_STEPS, FIRST_STEP, STEP_DECAY = 256, 40, 0.5, 0.9


class Negation(nn.Module):
    """E(x) = E_A(x)/T_A − α E_B(x)/T_B + confinement/2·‖x‖². At T = 1, p ∝ p_A/p_B^α · exp(−confinement/2·‖x‖²).

    Du, Li and Mordatch, 2020 (arXiv 2004.06030), eq. 8. Z is infinite if E does not grow. With quadratic tails of
    curvature c, c_A/T_A − α c_B/T_B + confinement must be > 0. Raises InputError if E does not increase by more than
    d·log(R/r) from r = 100 or 500 to R = 1,000, because exp(−E) must decrease faster than r^{−d}. This is tested along
    every axis and along 256 rays, each turned to a minimum of E at R. The test can find an improper direction, but
    cannot prove that there is none.

    runs: two runs of one event shape, A and B.
    alpha: α (in (0, 1)).
    temperatures: T_A and T_B (> 0), or None for the temperatures of the training.
    confinement: curvature of the quadratic term that is added (≥ 0).
    """

    def __init__(
        self, runs: list[TrainedComponent], alpha: float, temperatures: list[float] | None, confinement: float
    ) -> None:
        super().__init__()
        check.open_interval("alpha", alpha)
        check.non_negative("confinement", confinement)
        self.event = common_event(runs)
        if (space := common_space(runs)) != "continuous":
            raise InputError(f"runs must have continuous states, got {space}: others need no energy that grows")
        if len(runs) != 2:
            raise InputError(f"runs must name two runs, of which the second is negated, got {len(runs)}")
        first, second = temperatures_of(runs, temperatures)
        self.parts = nn.ModuleList(part.energy for part in runs)
        self.scales = [1 / first, -alpha / second]
        self.confinement = confinement
        refuse_improper(self, self.event)
        self.notes = [
            f"negation: {runs[0].name} at T = {first:g} over {runs[1].name} at T = {second:g} to the power {alpha:g}; "
            f"the energy increases up to radius {FAR_RADIUS:g} in every direction that was tested"
        ]

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        a, b = (scale * part(x) for scale, part in zip(self.scales, self.parts, strict=True))
        return a + b + 0.5 * self.confinement * x.flatten(1).square().sum(1)


def refuse_improper(energy: nn.Module, event: tuple[int, ...]) -> None:
    """Raise InputError unless E increases by more than d·log(R/r) along every ray that is tested."""
    d = math.prod(event)
    with frozen(energy):
        u = lowest_rays(energy, event)
        with torch.no_grad():
            far = energy(FAR_RADIUS * u)
            for r in (NEAR_RADIUS, FAR_RADIUS / 2):
                rise = far - energy(r * u)
                needed = d * math.log(FAR_RADIUS / r)
                # A rise of nan counts as too small.
                n_improper = int((~(rise > needed)).sum())
                if n_improper:
                    raise InputError(
                        f"runs: this combination is not normalizable: along {n_improper} of {len(u)} directions the "
                        f"energy grows too slowly between radius {r:g} and {FAR_RADIUS:g} (by {float(rise.min()):.3g}, "
                        f"{needed:.3g} needed). Decrease alpha or increase confinement"
                    )


def lowest_rays(energy: nn.Module, event: tuple[int, ...]) -> Float[Tensor, "rays *event"]:
    """Return unit vectors along and against each axis, and random unit vectors after descent of E(R·u)."""
    here, d = device_of(energy), math.prod(event)
    dtype = torch.get_default_dtype()
    drawn = torch.randn(N_RAYS, d, generator=torch.Generator("cpu").manual_seed(0), dtype=dtype, device="cpu")
    axes = torch.eye(d, dtype=dtype, device="cpu")
    axes = torch.cat([axes, -axes]).to(here)
    u = nn.functional.normalize(drawn.to(here))
    for step in range(N_STEPS):
        _, grad = energy_and_grad(energy, (FAR_RADIUS * u).view(-1, *event))
        grad = grad.flatten(1)
        along = nn.functional.normalize(grad - (grad * u).sum(1, keepdim=True) * u)
        u = nn.functional.normalize(u - FIRST_STEP * STEP_DECAY**step * along)
    return torch.cat([axes, u]).view(-1, *event)
