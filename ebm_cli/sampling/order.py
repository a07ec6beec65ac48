"""Order of interacting sites: magnetization, susceptibility and specific heat, which peak where phases change."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy import frozen
from ebm_cli.energy._capabilities import OrderParameter, offers
from ebm_cli.estimate import Estimate
from ebm_cli.wells.descent import states_of

MAX_STATES_PER_CALL = 65_536


def order_rows(context: ChainContext) -> dict[str, Estimate]:
    """Return the order of the chains' states; nothing for energies without an order parameter, and at T = 0.

    magnetization: ⟨m⟩, m in [0, 1] the order parameter of a state.
    susceptibility: N(⟨m²⟩ − ⟨m⟩²)/T, for N sites.
    specific_heat: (⟨E²⟩ − ⟨E⟩²)/(NT²), per site.
    Errors are jackknife errors over chains (Efron, 1982), because these are functions of means.
    """
    chains, energy, sampler = context.screened.usable, context.energy, context.sampler
    if chains is None or energy is None or sampler is None or not offers(energy, OrderParameter):
        return {}
    T, e, sites = sampler.temperature, chains.potential, energy.n_sites()
    if not T or e is None or len(e) < 2:
        return {}
    m = order_of(energy, chains.x.reshape(-1, *chains.event)).reshape(e.shape)
    e = e.astype(np.float64)
    moments = np.stack([each.mean(1) for each in (m, m**2, e - e.mean(), (e - e.mean()) ** 2)], 1)
    rows = {
        "magnetization": jackknife(moments, lambda p: p[0]),
        "susceptibility": jackknife(moments, lambda p: sites * (p[1] - p[0] ** 2) / T),
        "specific_heat": jackknife(moments, lambda p: (p[3] - p[2] ** 2) / (sites * T**2)),
    }
    return {name: estimate.with_caution(context.screened.warnings) for name, estimate in rows.items()}


def order_of(energy: nn.Module, x: Float[np.ndarray, "n *event"]) -> Float[np.ndarray, " n"]:
    """Return the order parameter of each state."""
    assert offers(energy, OrderParameter)
    with frozen(energy), torch.no_grad():
        parts = [
            energy.order_parameter(states_of(energy, x[first : first + MAX_STATES_PER_CALL]))
            for first in range(0, len(x), MAX_STATES_PER_CALL)
        ]
    return torch.cat(parts).double().cpu().numpy()


def jackknife(moments: Float[np.ndarray, "chains k"], function: Callable[[Float[np.ndarray, " k"]], float]) -> Estimate:
    """Return a function of the means over chains, with its jackknife error."""
    n, total = len(moments), moments.sum(0)
    value = float(function(total / n))
    without = np.array([function((total - each) / (n - 1)) for each in moments])
    error = float(np.sqrt((n - 1) * np.mean((without - without.mean()) ** 2)))
    return Estimate(value, se=error, if_not_mixed="refused")
