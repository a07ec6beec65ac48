"""The sum over all states of two layers of units, each of which is independent given the other."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from ebm_cli.data._sites import Sites

# The largest number of units over which log Z is summed, and the number of their states per block.
MAX_ENUMERATED_UNITS, BLOCK = 25, 4096


def layer_log_z(
    a: Float[Tensor, " d"],
    b: Float[Tensor, " m"],
    W: Float[Tensor, "d m"],
    mu: Float[Tensor, " d"],
    offset: float,
    temperature: float,
) -> Float[Tensor, ""]:
    """Return log Σ exp(−E(v, h)/T), E = −aᵀ(v − μ) − bᵀ(h − λ) − (v − μ)ᵀW(h − λ), in double precision.

    It is a sum over the states of the smaller layer, with the other in closed form. Raises ValueError if both layers
    have more than 25 units.
    """
    a, b, W, mu = (each.double() for each in (a, b, W, mu))
    size, hidden = W.shape
    if min(size, hidden) > MAX_ENUMERATED_UNITS:
        raise ValueError(f"both layers have more than {MAX_ENUMERATED_UNITS} units: {size} and {hidden}")
    offsets = torch.full_like(b, offset)
    layers = (a, mu, W, b, offsets) if size <= hidden else (b, offsets, W.T, a, mu)
    sites = Sites("binary", (min(size, hidden),))
    blocks = [log_sum(x, *layers, temperature) for x in sites.blocks(BLOCK, a.device, a.dtype)]
    return torch.stack(blocks).logsumexp(0)


def log_sum(
    x: Float[Tensor, "n k"],
    own: Float[Tensor, " k"],
    own_offset: Float[Tensor, " k"],
    W: Float[Tensor, "k l"],
    other: Float[Tensor, " l"],
    other_offset: Float[Tensor, " l"],
    T: float,
) -> Float[Tensor, ""]:
    """Return the log of the sum of exp(−E/T) over these states of one layer and all states of the other layer."""
    centered = x - own_offset
    c = other + centered @ W
    return (centered @ own / T + (softplus(c / T) - other_offset * c / T).sum(1)).logsumexp(0)
