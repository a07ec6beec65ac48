"""Gibbs sampling: each site of a discrete state is drawn anew given all others."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE
from ebm_cli.energy._capabilities import HiddenUnits, LatticeLevels, offers
from ebm_cli.energy._units import draw_units
from ebm_cli.sampler import EnergyState, Info, State
from ebm_cli.sampler._lattice_gibbs import LatticeGibbs
from ebm_cli.sampler._site_kernel import SiteKernel
from ebm_cli.sampler._site_updates import choose, replace_sites, site_groups, site_logits


@dataclass(frozen=True)
class Gibbs(SiteKernel):
    """One sweep: every site i is drawn from p(xᵢ | others) ∝ exp(−E/T) (Geman and Geman, 1984).

    Exact: each draw leaves exp(−E/T) invariant. Sites that are independent given the others, such as the two colors of
    a lattice, are drawn together. If hidden units are summed over, as in a restricted Boltzmann machine, they are drawn
    given the visible units, and then all visible units given them. An energy that gives no conditional distributions
    is evaluated for every value of every site, k·d times per sweep. On a lattice with one coupling and one field, all
    sites of a color are updated by shifts of the lattice (see `LatticeGibbs`), which engine=compiled fuses.

    temperature: T (> 0).
    scan: systematic, all sites in order; random, as many sites as there are, drawn with replacement, the same for all
        chains. Hidden units are drawn as one block with either.
    """

    adjusted = True
    spaces = DISCRETE

    temperature: float
    scan: str

    def __post_init__(self) -> None:
        check.every(
            lambda: check.positive("temperature", self.temperature),
            lambda: check.one_of("scan", self.scan, ["systematic", "random"]),
        )

    def compilable_on(self, energy: nn.Module) -> LatticeGibbs | None:
        """Return the kernel of a lattice whose sites have few conditional distributions; None for other energies."""
        is_lattice = self.scan == "systematic" and offers(energy, LatticeLevels) and energy.has_levels()
        return LatticeGibbs(self.temperature) if is_lattice else None

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> EnergyState:
        kernel = self.compilable_on(energy)
        return super().init(energy, x, rng) if kernel is None else kernel.init(energy, x, rng)

    def step(self, energy: nn.Module, state: State | EnergyState, rng: torch.Generator) -> tuple[EnergyState, Info]:
        kernel = self.compilable_on(energy)
        return super().step(energy, state, rng) if kernel is None else kernel.step(energy, state, rng)

    def moved(
        self, energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "n *event"], int]:
        if offers(energy, HiddenUnits):
            return draw_through_hidden_units(energy, x, self.temperature, rng), 2
        groups = site_groups(energy, sites, x.device)
        if self.scan == "random":
            groups = torch.randint(sites.count, (sites.count, 1), generator=rng, device=x.device).unbind(0)
        for group in groups:
            logits = site_logits(energy, sites, x, group) / self.temperature
            u = torch.rand(logits.shape[:2], generator=rng, dtype=x.dtype, device=x.device)
            x = replace_sites(sites, x, group, choose(logits, u))
        return x, len(groups)


def draw_through_hidden_units(
    energy: HiddenUnits, v: Float[Tensor, "n *event"], temperature: float, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return visible units drawn given hidden units that are drawn given v."""
    h = energy.draw_hidden_units(v, temperature, rng)
    return draw_units(energy.visible_logits(h), temperature, rng)
