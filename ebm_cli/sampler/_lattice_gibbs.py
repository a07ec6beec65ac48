"""Gibbs sampling of a lattice whose sites have few conditional distributions, by comparing integers."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.energy import space_of
from ebm_cli.sampler import CompilableKernel, EnergyState, Info, State, unadjusted_info

BITS = 32


@dataclass(frozen=True)
class LatticeGibbs(CompilableKernel):
    """One sweep over all sublattices: a site takes its second value if a random integer is below that of its level.

    The probabilities of all levels are rounded to multiples of 2⁻³², so that one draw of 64 bits serves two sites; a
    uniform number in single precision is a multiple of 2⁻²⁴. How many of these thresholds an integer reaches is the
    lowest level at which the site takes its second value, which is found once for all sublattices. States are stored
    with the chains along the last axis, so that compiled code moves many chains with one instruction. The energy must
    offer `LatticeLevels`.

    temperature: T (> 0).
    """

    temperature: float

    def init(self, energy: Any, x: Float[Tensor, "n *event"], rng: torch.Generator) -> EnergyState:  # noqa: ARG002
        v = x.movedim(0, -1).contiguous()
        return EnergyState(v.movedim(-1, 0), energy.lattice_energy(v))

    def noise(self, state: State | EnergyState, rng: torch.Generator) -> tuple[Int[Tensor, "*event n"]]:
        v = state.x.movedim(0, -1)
        words = torch.empty((v.numel() + 1) // 2, dtype=torch.int64, device=v.device)
        words.random_(-(2**63), None, generator=rng)
        return (words.view(torch.int32)[: v.numel()].view(v.shape),)

    def update(self, energy: Any, state: State | EnergyState, noise: tuple[Tensor, ...]) -> tuple[EnergyState, Info]:
        v, sublattices = state.x.movedim(0, -1), energy.sublattices()
        lowest = lowest_levels(noise[0], energy.level_logits() / self.temperature).to(v.dtype)
        for sites in sublattices:
            drawn = (energy.site_levels(v) >= lowest).to(v.dtype)
            v = torch.where(sites[..., None], 2 * drawn - 1 if space_of(energy) == "spin" else drawn, v)
        e = energy.lattice_energy(v)
        return EnergyState(v.movedim(-1, 0), e), unadjusted_info(e, len(sublattices))


def lowest_levels(u: Int[Tensor, "*shape"], logits: Float[Tensor, " levels"]) -> Int[Tensor, "*shape"]:
    """Return the lowest level at which a uniform integer is below sigmoid(logit), as a fraction of all integers."""
    fractions = logits.double().sigmoid() * 2.0**BITS - 2.0 ** (BITS - 1)
    thresholds = fractions.round().clamp(-(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1).to(u.dtype)
    reached = torch.zeros_like(u)
    for threshold in thresholds.unbind(0):
        reached = reached + (u >= threshold)
    return reached
