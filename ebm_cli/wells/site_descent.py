"""Descent of discrete states: sites take their value of lowest energy, one after the other, until none changes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ebm_cli.data._sites import Sites
from ebm_cli.energy import frozen
from ebm_cli.sampler._site_updates import lowest_values, site_groups, site_logits, sites_of

# E falls with every change, so that descent ends. This limit is for changes that rounding undoes.
MAX_SWEEPS = 1000


def descend_sites(energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, "n *event"]:
    """Return the fixed point of asynchronous updates at T = 0 that each state reaches (Hopfield, 1982).

    A sweep updates every site once, in a random order that is the same for all states. The fixed point of a state
    therefore depends only on the state and on the state of `rng`. A site keeps its value if no other has lower energy.
    """
    sites, x = sites_of(energy, x), x.clone(memory_format=torch.contiguous_format)
    vectors, live = sites.vectors(x), torch.arange(len(x), device=x.device)
    with frozen(energy), torch.no_grad():
        groups = site_groups(energy, sites, x.device)
        for _ in range(MAX_SWEEPS):
            before = x[live]
            after = before.clone()
            for i in torch.randperm(len(groups), generator=rng, device=rng.device).tolist():
                logits = site_logits(energy, sites, after, groups[i])
                numbers = lowest_values(logits, sites.numbers(after, groups[i]))
                sites.by_site(after)[:, groups[i]] = vectors[numbers]
            x[live] = after
            live = live[(after != before).flatten(1).any(1)]
            if not len(live):
                break
    return x


def overlaps(sites: Sites, x: Float[Tensor, "n *event"], y: Float[Tensor, "m *event"]) -> Float[Tensor, "n m"]:
    """Return (k·p − 1)/(k − 1), p the fraction of sites in which xᵢ and yⱼ agree; it is xᵢ·yⱼ/d for spins."""
    k = sites.values
    a, b = (one_hot(sites.numbers(states), k).flatten(1).to(x.dtype) for states in (x, y))
    return (k * (a @ b.T) / sites.count - 1) / (k - 1)
