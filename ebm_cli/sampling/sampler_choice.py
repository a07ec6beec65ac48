"""The sampler of new chains if the user typed none: replica exchange, a plain kernel, or the run's own sampler."""

import dataclasses
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from ebm_cli import rng
from ebm_cli.assembly.build import asks, locate, make, node_of
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.space_defaults import sampler_for
from ebm_cli.chain.replica_search import find_replicas, needs_search, with_ladder, with_places
from ebm_cli.check import InputError
from ebm_cli.data import Batch, _angles
from ebm_cli.density.normals import NormalMixture
from ebm_cli.energy import CONTINUOUS, DISCRETE, space_of
from ebm_cli.partition.reference_states import explore
from ebm_cli.path import Path
from ebm_cli.path._coordinates import Integrand
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.run.folder import Run
from ebm_cli.run.sampled import SampledRun
from ebm_cli.run.shipped import defaults
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.start import ProvidesStart
from ebm_cli.wells.descent import rms_radius
from ebm_cli.wells.modes import find_modes

HMC = "ebm_cli.sampler.hmc.HMC"
TEMPERING = "ebm_cli.sampler.tempering.Tempering"
BASE_PATH = "ebm_cli.path.base.BasePath"
# Descents start from the initial states of chains, multiplied by each of these.
DESCENT_START_WIDTHS = (1.0, 3.0, 10.0)
# Two minima with a lower barrier between them count as one well (in T).
MIN_BARRIER = 1.0
# These keys fit every sampler. Typing one does not mean that the user chose a sampler.
KEYS_OF_EVERY_SAMPLER = {"sampler.temperature"}


@dataclass(frozen=True)
class SamplerChoice:
    """The sampler of new chains.

    parts: the run's parts, with this sampler.
    x: initial states of chains.
    nodes: nodes that replace those of the configuration: sampler, and path if it is new.
    has_pilot_places: True if a pilot run found the places of replicas. Burn-in then spaces them.
    """

    parts: Parts
    x: Tensor
    nodes: Config = field(default_factory=dict)
    has_pilot_places: bool = False


def choose_sampler(parts: Parts, config: Config, x: Tensor, trained: Run | None, terminal: Terminal) -> SamplerChoice:
    """Return the sampler of new chains, and initial states for it. The first rule that applies decides.

    - A sampler that was typed stays. If its path needs places of replicas, a pilot run finds them.
    - The configured sampler stays at T = 0.
    - With a typed path, replica exchange along it.
    - The configured sampler stays for discrete states, and for an energy of angles, whose wells recur with the period.
    - For an energy of real numbers, HMC if descent from the start finds one well. Otherwise the configured sampler, by
      default replica exchange between temperatures.
    - The run's own sampler if it is replica exchange, if the run has no data, or if it was trained for this sampler.
    - For any other run, replica exchange along a path from a density fitted to its rows, if a pilot run finds one.
      Otherwise the run's own sampler.

    x: initial states of the start.
    """
    if needs_search(parts.sampler):
        return with_replicas(parts, config, x, terminal)
    if keeps_sampler(config["made"]["chosen"], parts.sampler.temperature):
        return SamplerChoice(parts, x, dict(parts.replaced))
    if has_typed_path(config):
        return along_typed_path(parts, config, x, terminal)
    if space_of(parts.energy) in DISCRETE or (trained is None and space_of(parts.energy) not in CONTINUOUS):
        return SamplerChoice(parts, x, dict(parts.replaced))
    if trained is None:
        return hmc_if_one_well(parts, x, terminal)
    if reason := reason_for_own_sampler(parts, trained):
        terminal.say(f"sampler: that of the run, {reason}")
        return SamplerChoice(parts, x)
    path = make(cast(Config, defaults(BASE_PATH)), data=parts.data)
    return with_replicas(with_tempering(parts, path), config, x, terminal, otherwise=parts)


def keeps_sampler(typed: Iterable[str], temperature: float) -> bool:
    """Return True if the configured sampler stays: the line chooses it or sets a key of it, or chains only descend.

    typed: all keys on the line.
    """
    of_sampler = {key for key in typed if key.partition(".")[0] == "sampler"}
    return bool(of_sampler - KEYS_OF_EVERY_SAMPLER) or not temperature


def reason_for_own_sampler(parts: Parts, trained: Run) -> str:
    """Return why new chains of a run have its sampler, for the end of a message; empty if a path is to be found."""
    if isinstance(parts.sampler, Tempering):
        return "which is replica exchange"
    if parts.data is None:
        return "which has no rows to which the far end of a path could be fitted"
    if is_trained_for_own_sampler(trained):
        return "which was trained to be sampled by its own chains. Type path=base for replica exchange"
    return ""


def has_typed_path(config: Config) -> bool:
    """Return True if the line chooses a path or sets a key of it."""
    return any(key.partition(".")[0] == "path" for key in config["made"]["chosen"])


def is_trained_for_own_sampler(trained: Run) -> bool:
    """Return True if a run was trained to be sampled by short chains from noise, or by the start of its objective.

    Such chains give samples without reaching equilibrium. Other samplers would not draw what training made them draw.
    """
    config = trained.whole_config()
    objective, start = ((config.get(group) or {}) for group in ("objective", "start"))
    moves_chains = {"sampler", "start"} <= asks(objective)
    short_run = moves_chains and str(start.get("_target_")).endswith("noise.Noise")
    # A class of the user that cannot be imported here does not provide a start.
    with suppress(InputError):
        return short_run or isinstance(locate(objective.get("_target_")), ProvidesStart)
    return short_run


def with_tempering(parts: Parts, path: Path) -> Parts:
    """Return the parts with replica exchange along a path."""
    return dataclasses.replace(parts, sampler=make(cast(Config, tempering_node(parts)), path=path))


def tempering_node(parts: Parts) -> Config:
    """Return the node of replica exchange at the run's temperature, with a kernel that works on its states."""
    node = defaults(TEMPERING) | {"temperature": parts.sampler.temperature}
    if space_of(parts.energy) not in DISCRETE:
        return node
    kernel = sampler_for(parts.energy, {})
    return node if kernel is None else node | {"kernel": kernel}


def along_typed_path(parts: Parts, config: Config, x: Tensor, terminal: Terminal) -> SamplerChoice:
    """Return replica exchange along the path that was typed."""
    parts = with_tempering(parts, make(config["path"], data=parts.data, run=SampledRun.from_config(config)))
    if needs_search(parts.sampler):
        return with_replicas(parts, config, x, terminal)
    return SamplerChoice(parts, x, {"sampler": tempering_node(parts)})


def with_replicas(
    parts: Parts, config: Config, x: Tensor, terminal: Terminal, otherwise: Parts | None = None
) -> SamplerChoice:
    """Return replica exchange with the places of replicas that a pilot run finds.

    Chains start at the last states of the pilot run unless a start is typed.

    parts: with replica exchange along a path whose places are to be found.
    otherwise: the parts to use if the pilot run finds no places; None to raise InputError then.
    """
    own_kernel = any(key.startswith("sampler.kernel") for key in config["made"]["chosen"])
    sampler = with_rows(cast(Tempering, parts.sampler), parts, config["seed"])
    generator = rng.generator(config["seed"], "pilot", parts.machine.device)
    # The fit of the base and the pilot run take from a second to more than a minute.
    with terminal.task("pilot run", None):
        found = find_replicas(sampler, parts.energy, len(x), generator)
    if found is None and otherwise is None:
        raise InputError("path.base: annealing from it does not reach the model. Type another path.base, or path=hot")
    if found is None:
        assert otherwise is not None
        terminal.say("sampler: no path from a density fitted to the rows was found; the sampler is that of the run")
        return SamplerChoice(otherwise, x)
    sampler = found.sampler
    sampler = with_places(sampler, found.ladder) if own_kernel else with_ladder(sampler, found.ladder)
    path = cast(DrawnPath, sampler.path)
    fitted_to = ", fitted to short chains of the model" if parts.data is None else ", fitted to the rows"
    if isinstance(path.base, NormalMixture):
        fitted_to = ", fitted to the rows and given what is observed"
    if space_of(parts.energy) not in CONTINUOUS:
        fitted_to = ""
    hint = "" if otherwise is None else ". Type sampler=of_run for the sampler of the run"
    count = len(sampler.path.replica_betas())
    via = path.description
    terminal.say(f"sampler: replica exchange of {count} replicas from {found.base}{fitted_to}{via}{hint}")
    start = x if "start" in config["made"]["chosen"] else found.x
    # A step with exact draws is not fixed arithmetic.
    parts = dataclasses.replace(parts, sampler=sampler, engine="eager")
    nodes = config_nodes(sampler) | {"engine": "eager"}
    return SamplerChoice(parts, start, nodes, has_pilot_places=True)


def with_rows(sampler: Tempering, parts: Parts, seed: int) -> Tempering:
    """Return replica exchange along a path that has rows to fit its base to: without data, states of short chains.

    A path to discrete states needs no rows, and a path to angles only their shape.
    """
    path, space = cast(DrawnPath, sampler.path), space_of(parts.energy)
    if path.data is not None or space in DISCRETE:
        return sampler
    if space == _angles.SPACE:
        explored = torch.zeros(1, *parts.event, device=parts.machine.device)
    else:
        explored = explore(Integrand(parts.energy, sampler.temperature, parts.event, None, seed))
    return dataclasses.replace(sampler, path=dataclasses.replace(path, data=Batch(explored)))


def config_nodes(sampler: Tempering) -> Config:
    """Return the nodes `sampler` and `path` for replica exchange along a path from a fitted density."""
    node = defaults(TEMPERING)
    path = defaults(f"{type(sampler.path).__module__}.{type(sampler.path).__name__}")
    path |= {key: getattr(sampler.path, key) for key in path if key != "_target_"}
    own = {"temperature": sampler.temperature, "step_factors": sampler.step_factors, "kernel": node_of(sampler.kernel)}
    return {"sampler": node | own, "path": path}


def hmc_if_one_well(parts: Parts, x: Tensor, terminal: Terminal) -> SamplerChoice:
    """Return HMC if descent from the start finds one well, otherwise the configured sampler.

    HMC with trajectories of random length costs a fraction of replica exchange, which only several wells need.
    """
    T = parts.sampler.temperature
    starts = torch.cat([width * x for width in DESCENT_START_WIDTHS])
    modes, _ = find_modes(parts.energy, starts, T, MIN_BARRIER, rms_radius(x))
    if len(modes) > 1:
        terminal.say(f"sampler: descent from {len(starts)} states found {len(modes)} wells; sampler=tempering crosses")
        return SamplerChoice(parts, x)
    node = defaults(HMC) | {"short": 0.5, "temperature": T}
    terminal.say(f"sampler: descent from {len(starts)} states found one well, so sampler=hmc is enough")
    return SamplerChoice(dataclasses.replace(parts, sampler=make(cast(Config, node))), x, {"sampler": node})
