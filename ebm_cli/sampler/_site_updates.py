"""New values of the sites of discrete states, given all other sites."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.data._sites import Sites
from ebm_cli.energy import space_of
from ebm_cli.energy._capabilities import Conditionals, offers


def sites_of(energy: nn.Module, x: Float[Tensor, "n *event"]) -> Sites:
    """Return the sites of states with the shape of x. Raises InputError for continuous states."""
    return Sites(space_of(energy), tuple(x.shape[1:]))


def site_groups(energy: nn.Module, sites: Sites, device: torch.device) -> list[Int[Tensor, " _"]]:
    """Return all sites in groups whose sites are independent given the others; one site each if that is unknown."""
    if offers(energy, Conditionals):
        return energy.independent_sites()
    return list(torch.arange(sites.count, device=device).split(1))


def site_logits(
    energy: nn.Module, sites: Sites, x: Float[Tensor, "n *event"], group: Int[Tensor, " m"]
) -> Float[Tensor, "n m k"]:
    """Return −E of every value of each of these sites, given all other sites, up to a constant per site.

    An energy without `Conditionals` is evaluated for every value of every site.
    """
    if offers(energy, Conditionals):
        return energy.site_logits(x, group)
    k, m, values = sites.values, len(group), sites.vectors(x)
    v = sites.by_site(x).repeat(m * k, 1, 1).view(m, k, len(x), sites.count, -1)
    for place in range(m):
        v[place, :, :, group[place]] = values[:, None]
    e = energy(v.view(-1, *x.shape[1:])).view(m, k, len(x))
    return -e.permute(2, 0, 1)


def replace_sites(
    sites: Sites, x: Float[Tensor, "n *event"], group: Int[Tensor, " m"], numbers: Int[Tensor, "n m"]
) -> Float[Tensor, "n *event"]:
    """Return x with these values of these sites, given by their numbers."""
    return sites.by_site(x).index_copy(1, group, sites.vectors(x)[numbers]).view(x.shape)


def choose(logits: Float[Tensor, "*shape k"], u: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Return the number of a value drawn with probability softmax(logits), by inversion of u, uniform in [0, 1)."""
    if logits.shape[-1] == 2:
        return (u >= (logits[..., 0] - logits[..., 1]).sigmoid()).long()
    steps = logits.softmax(-1).cumsum(-1)
    # The last step may be slightly below 1.
    return (steps[..., :-1] <= u[..., None]).sum(-1)


def lowest_values(logits: Float[Tensor, "n m k"], current: Int[Tensor, "n m"]) -> Int[Tensor, "n m"]:
    """Return the value of lowest energy of each site: the current one if no other is lower, else the first of them."""
    own = logits.gather(2, current[..., None])[..., 0]
    best, numbers = logits.max(2)
    return torch.where(best > own, numbers, current)
