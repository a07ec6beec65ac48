"""Informed proposals on discrete states, whose gradient tells which sites are likely to change."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.data._sites import Sites


def value_gains(sites: Sites, x: Float[Tensor, "n *event"], grad: Float[Tensor, "n *event"]) -> Float[Tensor, "n d k"]:
    """Return −(a − xᵢ)·∇ᵢE for every value a of every site: the fall of E to first order, 0 for the present value."""
    values, v, g = sites.vectors(x), sites.by_site(x), sites.by_site(grad)
    return (g * v).sum(2, keepdim=True) - g @ values.T


def squared_distances(sites: Sites, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d k"]:
    """Return ‖a − xᵢ‖² for every value a of every site."""
    values, v = sites.vectors(x), sites.by_site(x)
    return (v[:, :, None] - values).square().sum(3)


def present_values(sites: Sites, x: Float[Tensor, "n *event"]) -> Bool[Tensor, "n d k"]:
    """Return which value each site has."""
    numbers = sites.numbers(x)
    return numbers[..., None] == torch.arange(sites.values, device=x.device)
