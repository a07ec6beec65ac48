"""The probabilities of all discrete states, of the data and of the model."""

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
    if sites.bits <= MAX_BITS:
        return ""
    return f"2^{sites.bits:.0f} states are too many to enumerate (maximum: 2^{MAX_BITS})"


def state_log_probabilities(
    context: EvaluationContext, sites: Sites
) -> tuple[Float[Tensor, " states"], Float[Tensor, " states"]]:
    """Return log-probabilities of all states, of the data and of the model exp(−E/T)/Z, in double precision."""
    assert isinstance(context.data, KnownDensity)
    device, dtype = device_of(context.energy), torch.get_default_dtype()
    data, model = [], []
    with frozen(context.energy), torch.no_grad():
        for x in sites.blocks(BLOCK, device, dtype):
            data.append(context.data.log_prob(x).double().cpu())
            model.append(-context.energy(x).double().cpu() / context.temperature)
    return torch.cat(data).log_softmax(0), torch.cat(model).log_softmax(0)
