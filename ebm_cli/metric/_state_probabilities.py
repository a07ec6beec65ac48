"""The probabilities of all discrete states, of the data and of the model."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import KnownDensity
from ebm_cli.data._sites import Sites
from ebm_cli.energy import device_of, frozen
from ebm_cli.metric import EvaluationContext

# The largest number of bits whose states are enumerated, and the number of states per call of the energy.
MAX_BITS, BLOCK = 20, 65_536


def too_many_states(sites: Sites) -> str:
    """Return the reason for a refusal if there are too many states; empty otherwise."""
    bits = sites.log_states / math.log(2)
    return f"2^{bits:.0f} states are too many to enumerate (maximum: 2^{MAX_BITS})" if bits > MAX_BITS else ""


def state_log_probabilities(
    context: EvaluationContext, sites: Sites
) -> tuple[Float[Tensor, " states"], Float[Tensor, " states"]]:
    """Return log-probabilities of all states, of the data and of the model exp(−E/T)/Z, in double precision."""
    assert isinstance(context.data, KnownDensity)
    count, device, dtype = sites.values**sites.count, device_of(context.energy), torch.get_default_dtype()
    data, model = [], []
    with frozen(context.energy), torch.no_grad():
        for first in range(0, count, BLOCK):
            x = sites.enumerated(first, min(first + BLOCK, count), device, dtype)
            data.append(context.data.log_prob(x).double().cpu())
            model.append(-context.energy(x).double().cpu() / context.temperature)
    return torch.cat(data).log_softmax(0), torch.cat(model).log_softmax(0)
