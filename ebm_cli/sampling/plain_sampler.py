"""Replace replica exchange by a plain sampler, if the user typed no sampler and the energy has one well."""

import dataclasses

import torch
from torch import Tensor

from ebm_cli.assembly.build import make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.energy import space_of
from ebm_cli.run.shipped import defaults
from ebm_cli.run.terminal import Terminal
from ebm_cli.wells.descent import rms_radius
from ebm_cli.wells.modes import find_modes

PLAIN = "ebm_cli.sampler.hmc.HMC"
# Factors by which the initial states are scaled to get the states at which descents start.
WIDTHS = (1.0, 3.0, 10.0)
# Two minima with a lower barrier between them, in units of T, belong to the same well.
BARRIER = 1.0
# Keys that may be typed without choosing a sampler.
ANY_SAMPLER = {"sampler.temperature"}


def plain_sampler_if_one_well(parts: Parts, config: Config, x: Tensor, terminal: Terminal) -> tuple[Parts, Config]:
    """Return the parts and the changed configuration, with HMC as their sampler if descents find only one well.

    Only several wells need replica exchange. HMC with trajectories of random length costs a fraction of it. Nothing
    changes for a sampler that was typed, for the sampler of a run, at T = 0, and for discrete states.
    """
    typed = {key for key in config["made"]["chosen"] if key.partition(".")[0] == "sampler"}
    T = parts.sampler.temperature
    if config.get("run") is not None or typed - ANY_SAMPLER or T == 0 or space_of(parts.energy) != "continuous":
        return parts, {}
    wide = torch.cat([width * x for width in WIDTHS])
    modes, _ = find_modes(parts.energy, wide, T, BARRIER, rms_radius(x))
    if len(modes) > 1:
        terminal.say(f"sampler: descent from {len(wide)} states found {len(modes)} wells; sampler=tempering crosses")
        return parts, {}
    node: Config = defaults(PLAIN) | {"short": 0.5, "temperature": T}
    terminal.say(f"sampler: descent from {len(wide)} states found one well, so sampler=hmc is enough")
    return dataclasses.replace(parts, sampler=make(node)), {"sampler": node}
