"""Gibbs sweeps along a path, of models whose sites are in few groups that are independent given the others."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ebm_cli.energy import DISCRETE, energy_and_grad
from ebm_cli.energy._capabilities import Conditionals, offers
from ebm_cli.sampler import CompilableKernel, Info, Sampler, State, unadjusted_info, uniform_like
from ebm_cli.sampler._informed_proposals import value_gains
from ebm_cli.sampler._site_updates import choose, replace_sites, sites_of

# With more groups, proposals for all sites at once are cheaper than drawing one group after the other.
MAX_GROUPS = 4


@dataclass(frozen=True)
class PathGibbs(CompilableKernel):
    """Every site is drawn from its distribution given the others, one group of independent sites after the other.

    The gradient at the states gives the distributions of the first group. For two layers of units, a step costs three
    products of matrices: one for the second layer, and two for E and ∇E of the new states.

    backwards: True for the groups in reverse order, which is the reversal of the step with respect to exp(−E).
    """

    adjusted = True
    spaces = DISCRETE
    temperature, best_acceptance = 1.0, 1.0

    backwards: bool

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        # A site uses one number; those of a one-hot vector beyond the first are not used.
        return (uniform_like(state.x, rng),)

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        assert offers(energy, Conditionals)
        sites, x = sites_of(energy, state.x), state.x
        u = sites.by_site(noise[0])[..., 0]
        first, *others = energy.independent_sites()[:: -1 if self.backwards else 1]
        gains = value_gains(sites, x, state.grad)[:, first]
        x = replace_sites(sites, x, first, choose(gains, u[:, first]))
        for group in others:
            x = replace_sites(sites, x, group, choose(energy.site_logits(x, group), u[:, group]))
        new = State(x, *energy_and_grad(energy, x))
        return new, unadjusted_info(new.energy)


def reversal(kernel: Sampler) -> Sampler:
    """Return the kernel whose steps are those of this one in reverse; other kernels of paths are reversible."""
    return dataclasses.replace(kernel, backwards=not kernel.backwards) if isinstance(kernel, PathGibbs) else kernel


def has_few_groups(energy: nn.Module) -> bool:
    """Return True if a model gives the distributions of its sites, and these are in few groups."""
    return offers(energy, Conditionals) and len(energy.independent_sites()) <= MAX_GROUPS
