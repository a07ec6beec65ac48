"""log Z of discrete states: the sum over all of them, or over the states of fewer hidden units."""

import math

import torch
from torch import nn

from ebm_cli.data._sites import Sites
from ebm_cli.energy import device_of, frozen, space_of
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.closed_form import closed_form_log_z
from ebm_cli.path._coordinates import Integrand

# The largest number of bits whose states are enumerated, and the number of states per call of the energy.
MAX_BITS, BLOCK = 25, 65_536
# Factor from the machine precision of the largest energy to a bound of the error of log Z: an energy is a sum of terms.
ROUNDING = 8.0


def exact_log_z(integrand: Integrand) -> Estimate | None:
    """Return log Σ exp(−E(x)/T) over all states, in nats, between bounds on its rounding error.

    The energy's own closed form is used where it has one, as has a restricted Boltzmann machine with a small layer.
    Otherwise all states of up to 25 bits are enumerated. None beyond that.
    """
    energy, T = integrand.energy, integrand.temperature
    if exact := closed_form_log_z(energy, T, "in closed form"):
        return exact
    sites = Sites(space_of(energy), integrand.event)
    if sites.bits > MAX_BITS:
        return None
    return enumerated_log_z(energy, sites, T)


def enumerated_log_z(energy: nn.Module, sites: Sites, temperature: float) -> Estimate:
    """Return log Z from the energies of all states, summed in double precision."""
    device, dtype = device_of(energy), torch.get_default_dtype()
    total, largest = torch.tensor(-torch.inf, dtype=torch.float64, device=device), 0.0
    with frozen(energy), torch.no_grad():
        for x in sites.blocks(BLOCK, device, dtype):
            u = energy(x).double() / temperature
            total = torch.logaddexp(total, (-u).logsumexp(0))
            finite = u[u.isfinite()]
            largest = max(largest, float(finite.abs().max())) if len(finite) else largest
    value, error = float(total), ROUNDING * torch.finfo(dtype).eps * largest
    if not math.isfinite(value):
        return refused("the energy is not finite: no state has a probability", "nats")
    reason = f"the sum over all {sites.n_states:,} states"
    return Estimate(value, lower=value - error, upper=value + error, unit="nats", reasons=(reason,))
