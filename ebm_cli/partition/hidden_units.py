"""log Z of an energy whose hidden units are summed over is that of visible and hidden units together."""

import dataclasses
from typing import Any, cast

import torch

from ebm_cli.energy import device_of
from ebm_cli.energy._capabilities import HiddenUnits, offers
from ebm_cli.path._coordinates import Integrand
from ebm_cli.rng import generator


def with_hidden_units(integrand: Integrand) -> Integrand:
    """Return the integrand over visible and hidden units, which block Gibbs sweeps move; others as they are.

    Hidden units of its rows are drawn given the visible ones.
    """
    energy, rows = integrand.energy, integrand.rows
    if not offers(energy, HiddenUnits):
        return integrand
    joint = energy.joint()
    if rows is not None:
        rng = generator(integrand.seed, "partition/hidden", device_of(energy))
        with torch.no_grad():
            hidden = energy.draw_hidden_units(rows, integrand.temperature, rng)
        rows = torch.cat([rows.flatten(1), hidden], 1)
    return dataclasses.replace(integrand, energy=joint, event=tuple(cast(Any, joint).event), rows=rows)
