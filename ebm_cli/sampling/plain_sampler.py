"""A plain sampler instead of replica exchange, where the user names none and the energy has one well."""

import dataclasses
from typing import cast

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
# So many times as wide as the start descents begin.
WIDTHS = (1.0, 3.0, 10.0)
# Wells with less than this times T between them are one.
BARRIER = 1.0
# What a line may say of the sampler without naming one.
OF_ANY = {"sampler.temperature"}


def plain_if_one_well(parts: Parts, config: Config, x: Tensor, terminal: Terminal) -> tuple[Parts, Config]:
    """Return the parts with HMC as their sampler where descent from the start finds one well, and its configuration.

    HMC with flights of many lengths costs a fraction of replica exchange, which only several wells need. Nothing
    changes for a sampler that the line names or sets, for a run's own, at T = 0, and off the real line.
    """
    typed = {key for key in config["made"]["chosen"] if key.partition(".")[0] == "sampler"}
    T = parts.sampler.temperature
    if config.get("run") is not None or typed - OF_ANY or T == 0 or space_of(parts.energy) != "continuous":
        return parts, {}
    wide = torch.cat([width * x for width in WIDTHS])
    modes, _ = find_modes(parts.energy, wide, T, BARRIER, rms_radius(x))
    if len(modes) > 1:
        terminal.say(f"sampler: descent from {len(wide)} places finds {len(modes)} wells; sampler=tempering crosses")
        return parts, {}
    node = defaults(PLAIN) | {"short": 0.5, "temperature": T}
    terminal.say(f"sampler: descent from {len(wide)} places finds one well; sampler=hmc is enough for it")
    return dataclasses.replace(parts, sampler=make(cast(Config, node))), {"sampler": node}
